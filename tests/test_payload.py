"""Large bytes of tests: made when asked for, the same each time, and few at once."""

from collections.abc import Callable
from random import Random

import pytest

from tests.services.payload import PIECE, payload, random_bytes


@pytest.mark.parametrize("size", [0, 1, 5, PIECE - 1, PIECE, PIECE + 3, 3 * PIECE + 514])
def test_random_bytes_are_those_of_the_library(size: int) -> None:
    assert random_bytes(size, seed=7) == Random(7).randbytes(size)


def test_nothing_is_made_before_it_is_asked_for_and_two_are_kept() -> None:
    made: list[str] = []

    def made_by(name: str) -> Callable[[], bytes]:
        def make() -> bytes:
            made.append(name)
            return name.encode()

        return payload(make)

    one, two, three = map(made_by, ("one", "two", "three"))
    assert made == []
    assert [one(), two(), one(), two()] == [b"one", b"two", b"one", b"two"]
    assert made == ["one", "two"]
    assert [three(), one(), three()] == [b"three", b"one", b"three"]
    assert made == ["one", "two", "three", "one"]
