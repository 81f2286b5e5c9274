"""Several pieces of work at the same time."""

import contextvars
import threading
import time

import pytest

from tasks.runtime.at_once import at_once

NAME = contextvars.ContextVar("name", default="nobody")


def test_results_are_in_the_order_of_the_items_and_no_more_are_at_work_than_asked_for() -> None:
    working, most, lock = [0], [0], threading.Lock()

    def work(number: int) -> int:
        with lock:
            working[0] += 1
            most[0] = max(most[0], working[0])
        time.sleep(0.01 * (5 - number % 5))
        with lock:
            working[0] -= 1
        return number * number

    assert at_once(work, range(20), 3) == [number * number for number in range(20)]
    assert most[0] == 3


def test_work_knows_whose_it_is() -> None:
    NAME.set("the run")
    assert at_once(lambda _: NAME.get(), range(3), 2) == ["the run"] * 3


def test_an_error_is_raised_when_the_others_are_done() -> None:
    done = []

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("the first")
        time.sleep(0.05)
        done.append(number)

    with pytest.raises(ValueError, match="the first"):
        at_once(work, range(4), 2)
    assert sorted(done) == [1, 2, 3]


def test_nothing_is_nothing() -> None:
    assert at_once(str, [], 4) == []
