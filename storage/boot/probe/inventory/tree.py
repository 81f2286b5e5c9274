"""The files of the installed system: of which size, and when they were changed."""

from collections.abc import Iterator

from storage.boot.probe.filesystems import Files, opened, signature
from storage.boot.probe.guest import read_guest
from storage.boot.probe.partitions import read_table
from storage.boot.probe.survey import parts_of
from storage.boot.probe.walking import CUT, Cut, FileFact, Walked, walk
from storage.formats.blocks import Bytes

Facts = dict[str, object]
TOGETHER = 500


def tree(disk: Bytes, image_format: str) -> Iterator[Facts]:
    """Yield files, some hundred a step; what could not be listed is said. The last step says that it was whole."""
    for part, _ in parts_of(disk, read_table(disk), image_format):
        kind = signature(part)
        if kind is None:
            continue
        with opened(part, kind) as files:
            if files is not None and read_guest(files) is not None:
                yield from _listed(files)
                break
    yield {"whole": True}


def _listed(files: Files) -> Iterator[Facts]:
    if not isinstance(files, Walked):
        return
    some: list[FileFact] = []
    try:
        for path, size, changed in walk(files):
            some.append((_shown(path), size, changed))
            if len(some) == TOGETHER:
                yield {"files": some}
                some = []
    except Cut:
        yield {"unread": [CUT]}
    yield {"files": some}


def _shown(path: str) -> str:
    """Keep what can be printed of an untrusted name."""
    return "".join(c if c.isprintable() else "?" for c in path)
