"""How often may be asked, and how many wrong passwords tried: by a clock that is moved here."""

import pytest

from catalog.errors import SignInLimited, TooManyRequests
from console.entrance.guesses import ADDRESSES, WRONG, Guesses
from console.entrance.rates import IDENTITIES, Rates
from console.entrance.sealing import Seal


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_bucket_fills_as_fast_as_may_be_asked() -> None:
    clock = Clock()
    rates = Rates(60, clock)
    for _ in range(60):
        rates.take("robot")
    with pytest.raises(TooManyRequests) as told:
        rates.take("robot")
    assert told.value.retry_after_s == 1
    rates.take("another")
    clock.seconds += 1
    rates.take("robot")
    with pytest.raises(TooManyRequests):
        rates.take("robot")
    clock.seconds += 3600  # no more than a minute's are ever saved
    for _ in range(60):
        rates.take("robot")
    with pytest.raises(TooManyRequests):
        rates.take("robot")


def test_no_limit_and_no_endless_memory() -> None:
    free, rates = Rates(0), Rates(60)
    for _ in range(1000):
        free.take("robot")
    for number in range(IDENTITIES + 10):
        rates.take(str(number))
    assert len(rates._left) == IDENTITIES


def test_different_guesses_count_and_repeated_ones_do_not() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(WRONG * 3):
        assert not guesses.note("a", "the old password")
    guesses.check("a")
    told = [guesses.note("a", str(number)) for number in range(WRONG)]
    assert told.count(True) == 1  # it is logged once
    with pytest.raises(SignInLimited):
        guesses.check("a")
    guesses.check("b")
    clock.seconds += 15 * 60
    guesses.check("a")
    for number in range(ADDRESSES + 5):
        guesses.note(str(number), "x")
    assert len(guesses._tried) == ADDRESSES


def test_what_was_sealed_is_read_for_its_purpose_and_while_it_is_good() -> None:
    seal = Seal(b"k" * 32, b"one")
    text = seal.write({"a": "b"}, 4e9)
    assert seal.read(text) == {"a": "b"}
    assert Seal(b"k" * 32, b"another").read(text) is None
    assert Seal(b"l" * 32, b"one").read(text) is None
    assert seal.read(seal.write({"a": "b"}, 1.0)) is None
    for nothing in ("", "x", "é", text[:-4] + "AAAA", text[4:]):
        assert seal.read(nothing) is None
