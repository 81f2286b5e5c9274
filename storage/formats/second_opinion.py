"""A second opinion on the same bytes: the independent format inspector of OpenStack's oslo.utils.

The result is at least as strict: a file that it refuses and we did not is refused. Its verdict on partition
tables is ignored (a data volume with a file system and no partitions fails it), and a hybrid ISO may also be a disk.
"""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.records import Finding
from storage.formats.rules import Rule

if TYPE_CHECKING:
    from oslo_utils.imageutils.format_inspector import FileInspector

CHECK = Rule("oslo.check", "a second inspector refuses the {format} for its check '{check}'")
DISAGREES = Rule("oslo.polyglot", "a second inspector takes the {format} for {other} as well")
_ALIKE = {("iso", "gpt"), ("raw", "gpt"), ("raw", "iso"), ("raw", "luks")}


def findings(detected: str, head: bytes, tail: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge head and tail again. size_bytes: of the whole file; its middle is not needed."""
    import oslo_utils.imageutils.format_inspector as oslo

    # It logs lines of hostile descriptors, up to 1 MiB each; the findings suffice.
    logging.getLogger(oslo.__name__).setLevel(logging.CRITICAL + 1)
    for name, kind in oslo.ALL_FORMATS.items():
        if name == "raw":
            continue
        inspector = kind()
        if not _matches(inspector, head, tail if size_bytes > len(head) else b""):
            continue
        if name == detected:
            yield from _checks(inspector, detected)
        elif (detected, name) not in _ALIKE:
            yield DISAGREES.found(0, format=detected, other=name)


def _matches(inspector: "FileInspector", head: bytes, tail: bytes) -> bool:
    try:
        inspector.eat_chunk(head)
        if tail:
            inspector.eat_chunk(tail)
        inspector.finish()
        return bool(inspector.format_match)
    except Exception:  # noqa: BLE001  it raises whatever its parsing met; that means "not this format"
        return False


def _checks(inspector: "FileInspector", detected: str) -> Iterator[Finding]:
    import oslo_utils.imageutils.format_inspector as oslo

    try:
        inspector.safety_check()
    except oslo.SafetyCheckFailed as failed:
        for check in failed.failures:
            yield CHECK.found(0, format=detected, check=check)
    except Exception as error:  # noqa: BLE001  an inspector that can't judge is no permission
        yield CHECK.found(0, format=detected, check=f"{type(error).__name__}")
