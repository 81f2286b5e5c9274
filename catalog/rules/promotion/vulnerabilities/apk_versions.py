"""The order of Alpine's versions: `1.2.3a_git20240101-r4` (apk-package(5), the order that `apk version -t` gives).

| part | its place beside one of the same kind |
|---|---|
| the first number, numbers of suffixes and of the revision (`-r4`) | as numbers |
| further numbers | as numbers; as text where one of the two begins with 0 |
| a letter, a commit (`~1a2b`) | as text |
| a suffix | alpha, beta, pre, rc, then no suffix, then cvs, svn, git, hg, p |

If one version ends or continues with another kind of part, the kind that may stand further left is newer, except for
suffixes before a release. Hand-written, since no library was found that reads all suffixes.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import zip_longest

NUMBER, FURTHER, LETTER, SUFFIX, SUFFIX_NUMBER, COMMIT, REVISION, END = range(8)
SUFFIXES = ("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p")
RELEASE = SUFFIXES.index("")
_FORM = re.compile(
    r"(?P<first>[0-9]+)(?P<more>(?:\.[0-9]+)*)(?P<letter>[a-z]?)(?P<suffixes>(?:_[a-z]+[0-9]*)*)"
    r"(?:~(?P<commit>[0-9a-f]+))?(?:-r(?P<revision>[0-9]+))?"
)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")
Part = tuple[int, str]


def compare(a: str, b: str) -> int:
    """Compare two versions: -1, 0 or 1. Raises ValueError for an invalid Alpine version."""
    for one, other in zip_longest(_parts(a), _parts(b), fillvalue=(END, "")):
        if one[0] != other[0]:
            return _ended(one, other)
        as_text = one[0] in (LETTER, COMMIT) or (one[0] == FURTHER and "0" in (one[1][0], other[1][0]))
        if one != other and (found := _sign(*(_place(part, as_text=as_text) for part in (one, other)))):
            return found
    return 0


def _ended(one: Part, other: Part) -> int:
    """Compare two versions at the first part whose kinds differ."""
    for (kind, text), sign in ((one, -1), (other, 1)):
        if kind == SUFFIX and SUFFIXES.index(text) < RELEASE:
            return sign
    return _sign((other[0], ""), (one[0], ""))


def _place(part: Part, *, as_text: bool) -> Part:
    kind, text = part
    if as_text:
        return 0, text
    return (SUFFIXES.index(text) if kind == SUFFIX else int(text)), ""


def _sign(one: Part, other: Part) -> int:
    return (one > other) - (one < other)


@lru_cache(1 << 14)
def _parts(version: str) -> tuple[Part, ...]:
    found = _FORM.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r} is no version of an apk")
    return tuple(_read(found))


def _read(found: re.Match[str]) -> Iterator[Part]:
    yield NUMBER, found["first"]
    yield from ((FURTHER, number) for number in found["more"].split(".")[1:])
    if found["letter"]:
        yield LETTER, found["letter"]
    for name, number in _SUFFIX.findall(found["suffixes"]):
        if name not in SUFFIXES:
            raise ValueError(f"{found[0]!r} has the suffix {name!r}, which apk does not know")
        yield SUFFIX, name
        if number:
            yield SUFFIX_NUMBER, number
    for kind, name in ((COMMIT, "commit"), (REVISION, "revision")):
        if found[name]:
            yield kind, found[name]
