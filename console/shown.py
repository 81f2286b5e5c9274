"""How values are shown."""

from datetime import datetime
from typing import Self

from flows.output import readable


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


def when(moment: datetime | None) -> str:
    """Return a moment in UTC, to the minute."""
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""


def verb(flow: str) -> str:
    """Return what a button of a flow says."""
    return flow.replace("_", " ").capitalize()
