"""Files that look like something else than a disk, and that somebody insists on adding as one.

Only what says "this is no disk" gives way: nothing opens a raw disk as an archive or a text. A format that QEMU or a
person's tools would open as such, a truncated disk, or one too large stays refused.
"""

from collections.abc import Iterable, Iterator

from catalog.errors import UnsafeImage
from catalog.records import Finding
from storage.formats.raw import filetypes, texts
from storage.formats.raw import rules as raw
from storage.formats.rules import Rule

ACCEPTED = Rule(
    "file.accepted-unrecognized",
    "it was added all the same, as the caller insisted (accept_unrecognized)",
    severity="info",
)
GIVING_WAY = frozenset(r.id for r in (filetypes.OTHER, texts.PAGE, texts.ANSWER, texts.TEXT, filetypes.NAMED))
HOW_TO_INSIST = "if it is a disk all the same, add it with accept_unrecognized"


def insisted(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Turn what gives way into warnings, and what only warns into information, and say once why."""
    known = tuple(findings)
    for finding in known:
        lower = _LOWER.get(finding.severity) if finding.rule in (*GIVING_WAY, raw.UNRECOGNIZED.id) else None
        yield finding.model_copy(update={"severity": lower}) if lower else finding
    if any(f.rule in (*GIVING_WAY, raw.UNRECOGNIZED.id) for f in known):
        yield ACCEPTED.found()


def refusal(findings: Iterable[Finding]) -> UnsafeImage:
    """Return the error that names all findings, each of which refuses the bytes; it tells where insisting would help."""
    errors = tuple(findings)
    gives_way = all(finding.rule in GIVING_WAY for finding in errors)
    return UnsafeImage([describe(finding) for finding in errors], HOW_TO_INSIST if gives_way else "")


def describe(finding: Finding) -> str:
    """Write a finding as one line for people: sentence, rule, version, offset."""
    place = "" if finding.offset is None else f", byte {finding.offset}"
    return f"{finding.sentence} [{finding.rule} v{finding.rule_version}{place}]"


_LOWER = {"error": "warning", "warning": "info"}
