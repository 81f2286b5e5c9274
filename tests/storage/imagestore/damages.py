"""Ways in which an object of a store is damaged, on any object store, and the table in the README that says what follows."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from storage.protocols import ObjectStore
from tests.storage.memory_objects import MemoryObjects

README = Path(__file__).parents[3] / "storage" / "imagestore" / "README.md"


def flipped(data: bytes, where: float = 0.6) -> bytes:
    at = int(len(data) * where)
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :] if data else b"x"


DAMAGES: Mapping[str, Callable[[bytes], bytes | None]] = {
    "flipped": flipped,
    "cut": lambda data: data[: len(data) * 2 // 3],
    "missing": lambda _: None,
    "empty": lambda _: b"",
}


class Row(NamedTuple):
    """A row of the table: object, damage, what is lost."""

    object: str
    damage: str
    lost: str


def table() -> Iterator[Row]:
    """Yield the rows of the README's table, one for each damage."""
    text = README.read_text().split("## What damage does")[1].split("\n## ")[0]
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0] not in ("object", "---"):
            for damage in cells[1].split(", "):
                yield Row(cells[0], damage, cells[3])


def damage(objects: ObjectStore, name: str, how: str, where: float = 0.6) -> None:
    """Damage one object, or the log's middle piece where the store keeps pieces."""
    change = (lambda data: flipped(data, where)) if how == "flipped" else DAMAGES[how]
    if isinstance(objects, MemoryObjects) and name in objects._logs:
        pieces = objects._logs[name]
        at = len(pieces) // 2
        after = change(pieces[at])
        objects._logs[name] = pieces[:at] + ([] if after is None else [after]) + pieces[at + 1 :]
        return
    names = sorted(info.name for info in objects.list(f"{name}.log/")) or [name]
    one = names[len(names) // 2]
    after = change(objects.get(one))
    objects.delete(one)
    if after is not None:
        objects.put(one, after)


def matching(objects: ObjectStore, pattern: str) -> list[str]:
    """Return the names of objects, those of logs without the numbers of their pieces."""
    names = dict.fromkeys(re.sub(r"\.log/\d+$", "", info.name) for info in objects.list(""))
    return [name for name in names if re.fullmatch(pattern, name)]
