"""Files that do not look like a disk but that a person insists on adding as one.

Only findings that mean "this is not a disk" can be overridden: nothing opens a raw disk as an archive or a text. A
format that QEMU or a person's tools would open as such, a truncated disk, or one that is too large stays refused.
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
    """Turn overridable findings into warnings and warnings into information, and add the reason once."""
    known = tuple(findings)
    for finding in known:
        lower = _LOWER.get(finding.severity) if finding.rule in (*GIVING_WAY, raw.UNRECOGNIZED.id) else None
        yield finding.model_copy(update={"severity": lower}) if lower else finding
    if any(f.rule in (*GIVING_WAY, raw.UNRECOGNIZED.id) for f in known):
        yield ACCEPTED.found()


def refusal(findings: Iterable[Finding]) -> UnsafeImage:
    """Return an error that names all findings, each of which refuses the bytes; it says where insisting would help."""
    errors = tuple(findings)
    gives_way = all(finding.rule in GIVING_WAY for finding in errors)
    return UnsafeImage([describe(finding) for finding in errors], HOW_TO_INSIST if gives_way else "")


def describe(finding: Finding) -> str:
    """Format a finding as one line for people: sentence, rule, version, offset."""
    place = "" if finding.offset is None else f", byte {finding.offset}"
    return f"{finding.sentence} [{finding.rule} v{finding.rule_version}{place}]"


_LOWER = {"error": "warning", "warning": "info"}
