"""libmagic's opinion of a raw file that our own tables do not recognise: it knows thousands of kinds.

The program `file` gets the first 4 KiB and no path, confined. Its answer must be certain: a volume of random bytes
matches one of its many two-byte magics in one of 18 cases, and one that counts upwards is a plausible image header. So
it is asked again with each of the first 64 bytes changed in several ways. A name that depends on fewer than four bytes
is ignored; zeros do not count, since they may be mere fill. This takes 10 ms for an unknown file, 0.2 s for a known
one.
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack

from catalog.errors import MissingProgram, ProgramFailed
from catalog.records import Finding, Verdict
from storage.formats.accepted import insisted
from storage.formats.raw.filetypes import NAMED
from storage.formats.raw.rules import UNRECOGNIZED
from storage.formats.rules import Rule, printable
from storage.programs.confine import Limits, run

HEAD = 4096
TURNED = 64
MIN_BYTES = 4
MIN_DISTINCT = 3  # a fill of one word is not a signature
CHANGES = (0xFF, 0x01, 0x02, 0x10, 0x80)  # a header field accepts some of these, a signature none
VOLUME = Rule("raw.libmagic", "libmagic takes the bytes for '{name}'", severity="info")
UNASKED = Rule("file.libmagic-unasked", "libmagic could not be asked what the bytes are: {reason}", severity="info")

_LIMITS = Limits(wall_s=20, cpu_s=10, memory_bytes=256 << 20)
_NOTHING = re.compile(
    r"\A(data|very short file.*|empty|cannot open.*|.*\btext\b.*|DOS/MBR boot sector.*)?\Z", re.DOTALL
)
_DISK = re.compile(r"file ?system|boot sector|partition|swap|disk ?label|\b(LVM2?|LUKS|RAID|bcache)\b", re.IGNORECASE)


def with_libmagic(verdict: Verdict, head: bytes, *, accept_unrecognized: bool = False) -> Verdict:
    """Return the verdict with libmagic's opinion added if nothing was recognized in the bytes.

    head: the first 4 KiB. accept_unrecognized: as for the inspector.
    """
    if all(f.rule != UNRECOGNIZED.id for f in verdict.findings) or not any(head):
        return verdict
    found = tuple(_findings(head[:HEAD]))
    known = any(f.rule != UNASKED.id for f in found)
    kept = tuple(f for f in verdict.findings if not known or f.rule != UNRECOGNIZED.id)
    settled = tuple(insisted(found)) if accept_unrecognized else found
    return verdict.model_copy(update={"findings": (*kept, *settled)})


def _findings(head: bytes) -> Iterator[Finding]:
    try:
        name = named(head)
    except (MissingProgram, ProgramFailed) as failed:
        yield UNASKED.found(reason=str(failed))
        return
    if name:
        yield (VOLUME if _DISK.search(name) else NAMED).found(0, name=printable(name.encode(), 80))


def named(head: bytes) -> str:
    """Return libmagic's description of a file with this head, or "" if it is not certain.

    Raises MissingProgram, ProgramFailed.
    """
    (name,) = _described([head])
    if _NOTHING.match(name):
        return ""
    signature = [at for at in range(min(TURNED, len(head))) if head[at]]
    for change in CHANGES:
        signature = _told_apart(head, signature, change)
        if len(signature) < MIN_BYTES or len({head[at] for at in signature}) < MIN_DISTINCT:
            return ""
    return name


def _told_apart(head: bytes, places: list[int], change: int) -> list[int]:
    """Return the places where changing one byte gives another kind of file."""
    turned = [head[:at] + bytes([head[at] ^ change]) + head[at + 1 :] for at in places]
    kind, *others = zip(_described([head, *turned], "--mime-type"), _described([head, *turned]), strict=True)
    return [at for at, other in zip(places, others, strict=True) if _kind(*other) != _kind(*kind)]


def _kind(mime: str, description: str) -> str:
    """Return what distinguishes two kinds; the rest of a description is details of the file."""
    return " ".join(description.split()[:2]) if mime == "application/octet-stream" else mime


def _described(heads: list[bytes], *options: str) -> list[str]:
    """Ask about all heads at once, each in a memory file."""
    with ExitStack() as open_files:
        numbers = [_in_memory(head, open_files) for head in heads]
        names = [f"/proc/self/fd/{number}" for number in numbers]
        words = ["--brief", "--dereference", *options, "--", *names]
        output = run("file", words, _LIMITS, pass_fds=numbers)
    lines = output.out.decode("utf-8", "replace").splitlines()
    if output.code or len(lines) != len(heads):
        raise ProgramFailed("file", output.complaint)
    return lines


def _in_memory(head: bytes, open_files: ExitStack) -> int:
    number = os.memfd_create("head")
    open_files.callback(os.close, number)
    os.write(number, head)
    return number
