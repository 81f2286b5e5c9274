import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.imagestore.format.parameters import Parameters
from storage.imagestore.writing.cutter import Cutter, Piece
from tests.storage.stores import SMALL


def cut(data: bytes, sizes: list[int], start: int = 0, parameters: Parameters = SMALL) -> list[tuple[int, bool]]:
    """Return (length, is hole) of all pieces, neighbouring holes joined; proves that nothing is lost."""
    cutter = Cutter(parameters, start)
    view = memoryview(data)
    pieces: list[Piece] = []
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        pieces += cutter.feed(view[at : at + size])
        at, number = at + size, number + 1
    pieces += cutter.finish()
    assert b"".join(bytes(n) if data is None else bytes(data) for n, data in pieces) == data
    joined: list[tuple[int, bool]] = []
    for length, chip in pieces:
        if chip is None and joined and joined[-1][1]:
            joined[-1] = joined[-1][0] + length, True
        else:
            joined.append((length, chip is None))
    return joined


parts = st.one_of(
    st.tuples(st.just("random"), st.integers(1, 60_000)),
    st.tuples(st.just("zeros"), st.integers(1, 40_000)),
    st.tuples(st.just("cells"), st.integers(1, 12)),
    st.tuples(st.just("same"), st.integers(1, 60_000)),
)


def made(recipe: list[tuple[str, int]], seed: int) -> bytes:
    rng = random.Random(seed)
    kinds: dict[str, Callable[[int], bytes]] = {
        "random": rng.randbytes,
        "zeros": bytes,
        "cells": lambda count: bytes(4096 * count),
        "same": lambda count: b"s" * count,
    }
    return b"".join(kinds[kind](count) for kind, count in recipe)


@settings(max_examples=60, deadline=None)
@given(st.lists(parts, max_size=12), st.integers(0, 9), st.lists(st.integers(1, 90_000), min_size=1, max_size=4))
def test_cuts_do_not_depend_on_how_the_bytes_arrive(recipe: list[tuple[str, int]], seed: int, sizes: list[int]) -> None:
    data = made(recipe, seed)
    assert cut(data, [max(1, len(data))]) == cut(data, sizes)


@settings(max_examples=40, deadline=None)
@given(st.lists(parts, min_size=1, max_size=10), st.integers(0, 9), st.data())
def test_cutting_goes_on_at_any_boundary_as_if_it_had_never_stopped(
    recipe: list[tuple[str, int]], seed: int, drawn: st.DataObject
) -> None:
    data = made(recipe, seed)
    whole = cut(data, [len(data)])
    kept = drawn.draw(st.integers(0, len(whole)))
    start = sum(length for length, _ in whole[:kept])
    assert cut(data[start:], [30_000], start) == whole[kept:]


def test_odd_sizes_cut_a_real_sized_store_alike() -> None:
    rng = random.Random(1)
    data = b"".join((rng.randbytes(900_000), bytes(300_000), rng.randbytes(1_500_000), bytes(65_536 * 3)))
    whole = cut(data, [len(data)], parameters=Parameters())
    for sizes in ([1 << 20], [65_536], [17_777, 3], [1 << 20, 1], [655_360], [655_361]):
        assert cut(data, sizes, parameters=Parameters()) == whole


def test_chips_stay_within_their_bounds() -> None:
    pieces = cut(random.Random(2).randbytes(2_000_000), [100_000])
    assert all(SMALL.min_bytes <= length <= SMALL.max_bytes for length, _ in pieces[:-1])


def test_an_insertion_changes_only_the_chips_around_it() -> None:
    data = random.Random(3).randbytes(1_000_000)
    before = set(_chips(data))
    after = set(_chips(data[:500_000] + b"inserted" + data[500_000:]))
    assert len(before - after) < 0.1 * len(before)


def _chips(data: bytes) -> list[bytes]:
    cutter = Cutter(SMALL)
    return [bytes(chip) for _, chip in (*cutter.feed(memoryview(data)), *cutter.finish()) if chip is not None]
