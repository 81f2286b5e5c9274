"""What images take, and what is saved by keeping equal pieces once, as a picture."""

from dataclasses import dataclass

from catalog.records import Figures, Usage

WIDTH, COLOURS = 760.0, 5


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a bar. colour: 1 to 5."""

    name: str
    start: float
    width: float
    size_bytes: int
    colour: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Two bars by the same measure: sizes of the images, and what was newly written for them; by storage."""

    logical: tuple[Part, ...]
    stored: tuple[Part, ...]
    logical_bytes: int
    stored_bytes: int

    @property
    def saved_bytes(self) -> int:
        """Return what is not taken."""
        return max(0, self.logical_bytes - self.stored_bytes)

    @property
    def saved_percent(self) -> float:
        """Return how much of the sizes that is."""
        return 100 * self.saved_bytes / self.logical_bytes if self.logical_bytes else 0.0


def picture_of(figures: Figures | None, usage: Usage | None) -> Picture | None:
    """Return the picture, None where there is nothing in it."""
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
