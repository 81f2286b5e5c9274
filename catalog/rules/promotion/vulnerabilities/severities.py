"""The severity of a vulnerability: by the newest CVSS version given, otherwise by Ubuntu's rating.

| score | rating |
|---|---|
| 9.0 and more | critical |
| 7.0 | high |
| 4.0 | medium |
| 0.1 | low |
| 0 | none |
| none readable | unknown |
"""

from collections.abc import Mapping, Sequence
from typing import get_args

from catalog.records import Severity
from catalog.rules.promotion.vulnerabilities.advisories import Score

LONGEST = 512
"""Most characters of a CVSS vector."""
FROM: Sequence[tuple[float, Severity]] = (
    (9.0, "critical"),
    (7.0, "high"),
    (4.0, "medium"),
    (0.1, "low"),
    (0.0, "none"),
)
NEWEST_FIRST: Mapping[str, str] = {"CVSS_V4": "CVSS4", "CVSS_V3": "CVSS3", "CVSS_V2": "CVSS2"}
"""Type in an export → the library's class."""
SAID = "Ubuntu"
RANKS: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""


def severity_of(scores: Sequence[Score]) -> tuple[Severity, float | None]:
    """Return rating and score by the first readable vector of the newest CVSS version; the package's own come first."""
    for kind in NEWEST_FIRST:
        for one in scores:
            if one.type == kind and (score := _base_score(kind, one.score)) is not None:
                return next(rating for least, rating in FROM if score >= least), score
    said = next((one.score.lower() for one in scores if one.type == SAID), "unknown")
    return next((rating for rating in RANKS if rating == {"negligible": "low"}.get(said, said)), "unknown"), None


def _base_score(kind: str, vector: str) -> float | None:
    import cvss

    if len(vector) > LONGEST:
        return None
    try:
        return float(getattr(cvss, NEWEST_FIRST[kind])(vector).base_score)
    except cvss.CVSSError:
        return None
