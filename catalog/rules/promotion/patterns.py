"""Patterns that find builds among a publisher's files: `os-{version}-{arch}.qcow2`, `{version}/os-{version}.img`.

| part | stands for |
|---|---|
| `{version}` | a version: it begins with a digit, or v and a digit, and names no architecture; the same one each time |
| `{arch}` | the architecture of the watch, by any publisher's name for it |
| `*` | anything within one name |
| anything else | itself |
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from catalog.errors import InvalidRequest
from catalog.records import Architecture

NAMES: Mapping[Architecture, tuple[str, ...]] = {
    "x86_64": ("x86_64", "amd64", "x64"),
    "aarch64": ("aarch64", "arm64"),
    "mips64el": ("mips64el", "mips64le"),
    "loongarch64": ("loongarch64", "loong64"),
}
"""Architecture → publishers' names for it."""
OTHERS = ("i386", "i686", "ppc64le", "ppc64el", "s390x", "riscv64", "armhf", "armv7", "arm32")
LONGEST, MOST_PARTS, MOST_PLACES = 256, 4, 2
PATTERN_RULE = (
    f"a file's name with {{version}}, {{arch}} and * in it, folders before it with /: at most {LONGEST} characters, "
    f"{MOST_PARTS} names, and in each {MOST_PLACES} times {{version}} and once *"
)
_PLACE = re.compile(r"(\{version\}|\{arch\}|\*)")
_VERSION = r"v?[0-9][0-9A-Za-z.+~:_-]{0,63}"
_ARCHITECTURE_NAMED = re.compile("|".join((*(name for names in NAMES.values() for name in names), *OTHERS)))


class Match(NamedTuple):
    """The parts of a matched name. version: "" if the pattern has none; arch: in the publisher's spelling."""

    version: str
    arch: str


def check_pattern(pattern: str, *, versioned: bool) -> None:
    """Raise InvalidRequest for an invalid pattern. versioned: it must contain {version}."""
    parts = pattern.split("/")
    odd = any(_is_odd(part) for part in parts)
    if odd or len(parts) > MOST_PARTS or len(pattern) > LONGEST or (versioned and "{version}" not in parts[-1]):
        raise InvalidRequest("pattern", pattern, PATTERN_RULE)


def _is_odd(part: str) -> bool:
    plain = _PLACE.sub("", part)
    many = part.count("{version}") > MOST_PLACES or part.count("*") > 1 or part.count("{arch}") > MOST_PLACES
    return part in ("", ".", "..") or many or not plain.isprintable() or bool(set(plain) & set("{}\\?#"))


def matched(part: str, name: str, architecture: Architecture, within: str = "") -> Match | None:
    """Match a name against one part of a pattern; return None if it does not match.

    within: the version of its folder; its own version must equal or extend that one.
    """
    found = _compiled(part, architecture).fullmatch(name) if len(name) <= LONGEST else None
    if found is None:
        return None
    said = found.groupdict()
    version = said.get("version") or within
    if _ARCHITECTURE_NAMED.search(version.lower()) or not goes_on(version, within):
        return None
    return Match(version, said.get("arch") or NAMES[architecture][0])


def goes_on(version: str, within: str) -> bool:
    """Tell whether a version equals or extends that of its folder: 40-1.14 in 40, 20240501 in v20240501."""
    own, outer = version.removeprefix("v"), within.removeprefix("v")
    return not outer or own == outer or (own.startswith(outer) and not own[len(outer)].isalnum())


def filled(template: str, version: str, arch: str, file: str) -> str:
    """Return an address with a build's version, architecture and file filled in."""
    said = {"{version}": version, "{arch}": arch, "{file}": file}
    return re.sub(r"\{(?:version|arch|file)\}", lambda place: said[place[0]], template)


def _compiled(part: str, architecture: Architecture) -> re.Pattern[str]:
    known = set[str]()
    return re.compile("".join(_expression(piece, architecture, known) for piece in _PLACE.split(part)))


def _expression(piece: str, architecture: Architecture, known: set[str]) -> str:
    if piece == "*":
        return r"[^/]*"
    name = piece.strip("{}")
    if not _PLACE.fullmatch(piece):
        return re.escape(piece)
    if name in known:
        return f"(?P={name})"
    known.add(name)
    return f"(?P<{name}>{_VERSION if name == 'version' else '|'.join(NAMES[architecture])})"
