"""The architecture as pictures, made from the imports: `make docs` writes docs/architecture.md."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from grimp import ImportGraph, build_graph

FILE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
FLOORS = ("deployments", "console", "flows", "tasks", "storage", "catalog")
INSIDE = (*FLOORS, "storage.formats", "storage.imagestore", "storage.ceph")
FOR_ALL = frozenset({"catalog.errors", "catalog.records", "catalog.settings", "catalog.units", "catalog.files"})
TEXT = """# Architecture

Generated from the imports by `make docs`. An arrow points from the importing room to the imported one; an arrow that follows from
others is left out. All rooms may import {for_all}: the picture of the catalog
leaves these out. What may import what is held by import-linter (`pyproject.toml`); how an operation walks through the rooms is
told in [an add](an-add.md).

## The floors

{floors}
{rooms}
"""

Arrows = frozenset[tuple[str, str]]


@cache
def graph() -> ImportGraph:
    return build_graph(*FLOORS, cache_dir=None)


def arrows(within: str = "") -> Arrows:
    """Return who imports whom among the rooms of a package, or among the floors."""
    depth = within.count(".") + 2 if within else 1
    found = set()
    for importer in graph().modules:
        for imported in graph().find_modules_directly_imported_by(importer):
            pair = tuple(".".join(module.split(".")[:depth]) for module in (importer, imported))
            if all(room.startswith(within) and room.count(".") == depth - 1 for room in pair) and pair[0] != pair[1]:
                found.add((pair[0], pair[1]))
    return frozenset(pair for pair in found if pair[1] not in FOR_ALL)


def reached(found: Arrows) -> Arrows:
    """Return from where one gets to where along any number of arrows."""
    reach = set(found)
    for middle in {room for pair in found for room in pair}:
        before, after = {a for a, b in reach if b == middle}, {b for a, b in reach if a == middle}
        reach |= {(a, b) for a in before for b in after}
    return frozenset(reach)


def circles(found: Arrows) -> list[tuple[str, ...]]:
    """Return groups of rooms that reach each other."""
    reach = reached(found)
    return sorted({tuple(sorted(b for a, b in reach if a == room and (b, a) in reach)) for room, _ in found} - {()})


def without_implied(found: Arrows) -> Arrows:
    """Leave out arrows from a to c where one leads from a to a b in no circle with either, and further ones to c."""
    reach = reached(found)

    def is_implied(a: str, c: str) -> bool:
        between = (b for start, b in found if start == a and (b, c) in reach)
        return any((b, a) not in reach and (c, b) not in reach for b in between)

    return frozenset(pair for pair in found if not is_implied(*pair))


def picture(found: Arrows) -> Iterator[str]:
    """Yield the lines of a Mermaid flowchart."""
    yield "```mermaid\nflowchart TD"
    for room in sorted({room for pair in found for room in pair}):
        yield f'    {room.replace(".", "_")}["{room.rpartition(".")[2]}"]'
    for importer, imported in sorted(without_implied(found)):
        yield f"    {importer.replace('.', '_')} --> {imported.replace('.', '_')}"
    yield "```\n"


def rooms(within: str) -> Iterator[str]:
    """Yield the chapter about the rooms of a package."""
    found = arrows(within)
    yield f"## Inside {within.replace('.', '/')}\n"
    yield from picture(found)
    yield from (f"In a circle: {named(group)}.\n" for group in circles(found))


def named(modules: Iterable[str]) -> str:
    return ", ".join(f"`{module}`" for module in sorted(modules))


def written() -> str:
    """Return the text of docs/architecture.md."""
    chapters = "\n".join(line for within in INSIDE for line in rooms(within)).rstrip()
    return TEXT.format(for_all=named(FOR_ALL), floors="\n".join(picture(arrows())), rooms=chapters)


if __name__ == "__main__":
    FILE.write_text(written())
