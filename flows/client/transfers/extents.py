"""Read which ranges of a file hold data, as a stream and bounded, however many a service names."""

import json
from collections.abc import Iterable, Iterator

from flows.client.errors import AnswerNotUnderstood

WORTH_SKIPPING = 1 << 20
"""Smallest hole to skip, bytes: fetching fewer zeros takes no longer than another request."""
MOST_RANGES = 100_000
MOST_ONE = 1 << 12
"""Most bytes of one extent as JSON."""
Range = tuple[int, int]


def data_ranges(blocks: Iterable[bytes], size: int, address: str) -> tuple[Range, ...]:
    """Return the intervals `[start, end)` that hold data, in order, with near ones joined.

    Raises AnswerNotUnderstood unless the extents cover just the file.
    """
    found: list[Range] = []
    gap, at = WORTH_SKIPPING, 0
    for start, end, is_data in _extents(blocks, address):
        if start != at or end <= start or end > size:
            raise AnswerNotUnderstood(
                address, f"with a range of {start} to {end} after {at}, in a file of {size} bytes"
            )
        at = end
        if is_data:
            _joined(found, (start, end), gap)
        if len(found) > MOST_RANGES:
            found, gap = _coarser(found, gap)
    if at != size:
        raise AnswerNotUnderstood(address, f"with ranges of {at} bytes for a file of {size}")
    return tuple(found)


def _joined(found: list[Range], new: Range, gap: int) -> None:
    if found and new[0] - found[-1][1] < gap:
        found[-1] = (found[-1][0], new[1])
    else:
        found.append(new)


def _coarser(found: list[Range], gap: int) -> tuple[list[Range], int]:
    """Join intervals with ever larger gaps until half as many are left."""
    joined = found
    while len(joined) > MOST_RANGES // 2:
        gap, joined = gap * 2, []
        for one in found:
            _joined(joined, one, gap)
    return joined, gap


def _extents(blocks: Iterable[bytes], address: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, is_data) from a JSON array that arrives in pieces."""
    held = ""
    for block in blocks:
        held += block.decode("ascii", errors="replace")
        *whole, held = held.split("}")
        for text in whole:
            yield _one(text + "}", address)
        if len(held) > MOST_ONE:
            raise AnswerNotUnderstood(address, "with what is no range")
    if held.strip() not in ("]", "[]"):
        raise AnswerNotUnderstood(address, "with ranges that break off")


def _one(text: str, address: str) -> tuple[int, int, bool]:
    try:
        said = json.loads(text.lstrip("[, \n\r\t"))
        start, length, is_data = said["start"], said["length"], said["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnswerNotUnderstood(address, "with what is no range") from error
    if not (type(start) is int and type(length) is int and isinstance(is_data, bool)):
        raise AnswerNotUnderstood(address, "with what is no range")
    return start, start + length, is_data
