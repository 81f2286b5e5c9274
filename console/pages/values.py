"""How values are shown."""

from datetime import UTC, datetime
from typing import Self

from catalog.units import readable


class Sized(str):
    """A text that stands for a number, by which it is sorted."""

    __slots__ = ("number",)
    number: float

    def __new__(cls, text: str, number: float) -> Self:
        """Return `text`, to be sorted by `number`."""
        made = super().__new__(cls, text)
        made.number = number
        return made


def size(count: int | None) -> str:
    """Return bytes as people read them, to be sorted by their number."""
    if count is None:
        return ""
    return Sized(readable(count), count)


class Moment(str):
    """A moment in UTC, to the minute, that a page marks as one: the browser shows it in the viewer's zone."""

    __slots__ = ("iso",)
    iso: str

    def __new__(cls, at: datetime) -> Self:
        """Return the moment. at: timezone-aware."""
        utc = at.astimezone(UTC)
        made = super().__new__(cls, utc.strftime("%Y-%m-%d %H:%M UTC"))
        made.iso = utc.isoformat().replace("+00:00", "Z")
        return made

    def __html__(self) -> str:
        """Return the element, as templates put it in; it holds digits only."""
        return f'<time datetime="{self.iso}">{self!s}</time>'


def when(moment: datetime | None) -> str:
    """Return a moment as pages show it, empty where there is none."""
    return Moment(moment) if moment else ""


class Linked(str):
    """A text that leads somewhere."""

    __slots__ = ("place",)
    place: str

    def __new__(cls, text: str, place: str) -> Self:
        """Return `text`, that leads to the path `place`."""
        made = super().__new__(cls, text)
        made.place = place
        return made
