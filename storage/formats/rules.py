"""Safety rules, and the version of the whole set.

A rule has a stable id, a version that is raised when it decides differently, and one sentence. Verdicts keep all three,
so a stored image can be judged again when `RULE_SET` is newer than its verdict.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from catalog.records import Finding

RULE_SET = "2026.12"
"""Raised whenever a rule is added, removed or changed; `tests/storage/formats` holds its fingerprint."""

ENDLESS = 1 << 62
"""The size of a file whose end isn't known yet."""
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One possible defect of the bytes. `sentence` may hold `{names}` that `found` fills in."""

    id: str
    sentence: str
    severity: Severity = "error"
    version: int = 1

    def found(self, offset: int | None = None, **values: object) -> Finding:
        """Make the finding of this rule at `offset` bytes from the start of the file."""
        return Finding(
            rule=self.id,
            rule_version=self.version,
            severity=self.severity,
            offset=offset,
            sentence=self.sentence.format(**values),
        )


def any_error(findings: Iterable[Finding]) -> bool:
    """Tell whether any finding refuses the bytes."""
    return any(finding.severity == "error" for finding in findings)


def printable(data: bytes, limit: int = 80) -> str:
    """Make untrusted bytes printable: ASCII only, escaped, at most `limit` characters."""
    text = data[:limit].decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)[:limit]
