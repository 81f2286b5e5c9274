"""The order of publishers' versions: 1.10 is after 1.9, 20240507-1740 after 20240507, 3.20_rc2 before 3.20.

| part of a version | its place among others at the same position |
|---|---|
| `alpha`, `beta`, `pre`, `dev`, `rc`, `~` | before an end: a candidate is before its release, in this order |
| an end | before anything that follows: 20240507 is before 20240507.1 |
| letters | after an end, in the order of the alphabet, case aside |
| digits | after letters, as numbers, whatever their length |
"""

import re

BEFORE = ("~", "dev", "alpha", "beta", "pre", "preview", "rc")
_PART = re.compile(r"[0-9]+|[A-Za-z]+|~")
_END, _WORD, _NUMBER = (1, 0, ""), 2, 3
Key = tuple[tuple[int, int, str], ...]


def order(version: str) -> tuple[Key, str]:
    """Return the sort key of a version. Versions with equal parts (1.0 and 1-0) are ordered by their text."""
    text = version.lower()
    parts = _PART.findall(re.sub(r"\Av(?=[0-9])", "", text))
    return (*(_place(part) for part in parts), _END), text


def is_newer(version: str, than: str) -> bool:
    """Tell whether a version is newer than another one."""
    return order(version) > order(than)


def _place(part: str) -> tuple[int, int, str]:
    if part.isdigit():
        return _NUMBER, int(part), ""
    return (0, BEFORE.index(part), "") if part in BEFORE else (_WORD, 0, part)
