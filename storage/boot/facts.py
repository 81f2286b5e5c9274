"""What would boot, read from the bytes of a stored file in a confined process (`storage/boot/probing.py`)."""

import json

from pydantic import ValidationError

from catalog.records import BootFacts
from storage.boot.probing import Bounds, looked
from storage.protocols import ImageReader


def boot_facts(reader: ImageReader, image_format: str, timeout_s: float = 10) -> BootFacts:
    """Say what would boot from a stored file of a format that the inspector has passed. A Debian disk takes 4 MB of reading.

    Odd content is never an error: what can't be told stays unknown. Raises only the reader's own errors.
    """
    return _facts(looked("survey", reader, image_format, Bounds(timeout_s)))


def _facts(answer: bytes) -> BootFacts:
    known: dict[str, object] = {}
    for line in answer.splitlines():
        try:
            known = BootFacts.model_validate({**known, **json.loads(line)}).model_dump()
        except (ValueError, TypeError, ValidationError):
            break  # the process was killed in the middle of a line
    return BootFacts.model_validate(known)
