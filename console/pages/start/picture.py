"""Draw the room that images take, and the room saved by deduplication."""

from dataclasses import dataclass

from catalog.records import Figures, Usage

WIDTH, COLOURS = 760.0, 5


@dataclass(frozen=True, slots=True)
class Part:
    """A section of a bar. colour: 1 to 5."""

    name: str
    start: float
    width: float
    size_bytes: int
    colour: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Two bars on the same scale, by storage: sizes of the images, and the bytes newly written for them."""

    logical: tuple[Part, ...]
    stored: tuple[Part, ...]
    logical_bytes: int
    stored_bytes: int

    @property
    def saved_bytes(self) -> int:
        """Return the bytes saved."""
        return max(0, self.logical_bytes - self.stored_bytes)

    @property
    def saved_percent(self) -> float:
        """Return the bytes saved as a percentage of the sizes."""
        return 100 * self.saved_bytes / self.logical_bytes if self.logical_bytes else 0.0


def picture_of(figures: Figures | None, usage: Usage | None) -> Picture | None:
    """Return the picture, None if it would be empty."""
    taken: dict[str, tuple[int, int]] = {}
    for one in figures.storages if figures else ():
        logical, stored = taken.get(one.image_storage, (0, 0))
        taken[one.image_storage] = (logical + one.logical_bytes, stored + one.stored_bytes)
    if usage is not None:
        taken[""] = (usage.size_bytes, usage.stored_bytes)
    most = max(sum(logical for logical, _ in taken.values()), sum(stored for _, stored in taken.values()))
    if not most:
        return None
    logical_sizes = {name: logical for name, (logical, _) in taken.items()}
    stored_sizes = {name: stored for name, (_, stored) in taken.items()}
    return Picture(
        _bar(logical_sizes, most), _bar(stored_sizes, most), sum(logical_sizes.values()), sum(stored_sizes.values())
    )


def _bar(sizes: dict[str, int], most: int) -> tuple[Part, ...]:
    parts, start = list[Part](), 0.0
    for number, (name, size_bytes) in enumerate(sizes.items()):
        width = WIDTH * size_bytes / most
        parts.append(Part(name, round(start, 1), round(width, 1), size_bytes, number % COLOURS + 1))
        start += width
    return tuple(parts)
