"""A small least-recently-used cache with a bound in entries."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by number, made when missing; the least recently used one goes first."""

    def __init__(self, entries: int, make: Callable[[int], Value]) -> None:
        self._entries, self._make = entries, make
        self._kept: OrderedDict[int, Value] = OrderedDict()

    def get(self, key: int) -> Value:
        """Return the value of `key`, made now if it is not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._kept[key] = self._make(key)
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)
        return value
