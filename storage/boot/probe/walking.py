"""Every regular file of a file system, folder by folder, however it is damaged or knotted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

MOST_FILES, MOST_FOLDERS, DEEPEST, LONGEST = 200_000, 100_000, 64, 4096
CUT = "its files are not all listed: there are too many of them, or folders lie too deep"
FileFact = tuple[str, int, int]
"""Absolute path, bytes, when it was changed (seconds since 1970; 0: not known)."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a folder. number: of what it names, the same for each of its names; at: what opens a folder."""

    name: str
    is_folder: bool
    is_file: bool
    size_bytes: int
    changed: int
    number: int
    at: object


@runtime_checkable
class Walked(Protocol):
    """A file system whose folders can be listed."""

    def listed(self, at: object) -> Iterator[Listed]:
        """Yield the entries of a folder; None: of the root. Raises OSError where it is damaged."""
        ...


class Cut(Exception):
    """There is more than is listed."""


def walk(files: Walked) -> Iterator[FileFact]:
    """Yield each file once, by one of its names; a folder that is damaged is left out. Raises Cut where there is more than is listed."""
    waiting: list[tuple[str, object, int]] = [("", None, 0)]
    folders, seen, cut = set[int](), set[int](), False
    while waiting:
        path, at, depth = waiting.pop()
        for one in _entries(files, at):
            place = f"{path}/{one.name}"
            if one.is_file and one.number not in seen:
                seen.add(one.number)
                yield place[:LONGEST], max(one.size_bytes, 0), one.changed  # a damaged one says anything
            if one.is_folder and one.number not in folders:
                folders.add(one.number)
                fits = depth < DEEPEST and len(place) <= LONGEST
                cut = cut or not fits
                waiting += [(place, one.at, depth + 1)] if fits else []
            if len(seen) >= MOST_FILES or len(folders) >= MOST_FOLDERS:
                raise Cut
    if cut:
        raise Cut


def _entries(files: Walked, at: object) -> Iterator[Listed]:
    try:
        yield from (one for one in files.listed(at) if one.name not in (".", "..") and "/" not in one.name)
    except OSError:
        return
