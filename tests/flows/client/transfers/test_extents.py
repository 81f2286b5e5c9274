"""Ranges that are worth fetching: right for whatever a service says in whatever pieces, bounded for whatever it goes on saying."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.client.errors import AnswerNotUnderstood
from flows.client.transfers import extents
from flows.client.transfers.extents import data_ranges

LENGTHS = st.lists(st.tuples(st.integers(1, 3 << 20), st.booleans()), max_size=30)


def said(lengths: list[tuple[int, bool]]) -> tuple[bytes, int]:
    at, found = 0, []
    for length, is_data in lengths:
        found.append({"start": at, "length": length, "data": is_data})
        at += length
    return json.dumps(found).encode(), at


@given(LENGTHS, st.integers(1, 40))
def test_all_data_is_in_the_ranges_and_no_large_hole(lengths: list[tuple[int, bool]], piece: int) -> None:
    text, size = said(lengths)
    ranges = data_ranges((text[at : at + piece] for at in range(0, len(text), piece)), size, "here")
    assert all(start < end for start, end in ranges)
    assert all(one[1] + extents.WORTH_SKIPPING <= other[0] for one, other in pairwise(ranges))
    at = 0
    for length, is_data in lengths:
        if is_data:
            assert any(start <= at and at + length <= end for start, end in ranges)
        at += length
    assert sum(end - start for start, end in ranges) <= size


def test_many_small_ranges_become_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extents, "MOST_RANGES", 8)
    lengths = [(2 << 20, number % 2 == 0) for number in range(101)]
    text, size = said(lengths)
    ranges = data_ranges([text], size, "here")
    assert len(ranges) <= 9
    assert (ranges[0][0], ranges[-1][1]) == (0, size)


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "{}", "null", "[1]", '[{"start": 0}]', '[{"start": 0, "length": 5, "data": true}]',
        '[{"start": 1, "length": 9, "data": true}]', '[{"start": 0, "length": 11, "data": true}]',
        '[{"start": 0, "length": 0, "data": true}]', '[{"start": 0, "length": 10, "data": 1}]',
        '[{"start": 0, "length": 10, "data": true}', '[{"start": false, "length": 10, "data": true}]', "[" + "x" * 4200,
        '[{"start": 0, "length": 5, "data": true}, {"start": 0, "length": 10, "data": true}]', "[]",
    ],
    ids=range(16),
)  # fmt: skip
def test_what_is_no_list_of_a_file_s_ranges_is_refused(text: str) -> None:
    with pytest.raises(AnswerNotUnderstood, match="range"):
        data_ranges([text.encode()], 10, "here")
