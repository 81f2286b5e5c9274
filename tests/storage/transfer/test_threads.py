"""Work done ahead keeps its order and its bounds."""

from threading import Event, Lock

import pytest

from storage.transfer.threads import in_order


def test_results_come_in_order_whatever_is_done_first() -> None:
    second_done = Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(10)
        if item == 1:
            second_done.set()
        return item

    assert list(in_order(work, range(20), workers=3, room=6)) == list(range(20))


@pytest.mark.parametrize(("weights", "most"), [([1] * 30, 4), ([3] * 10, 3), ([9, 1, 1, 9, 9, 1], 9)])
def test_what_is_begun_and_not_taken_is_never_heavier_than_the_room(weights: list[int], most: int) -> None:
    lock, begun, heaviest = Lock(), 0, 0

    def work(weight: int) -> int:
        nonlocal begun, heaviest
        with lock:
            begun += weight
            heaviest = max(heaviest, begun)
        return weight

    for weight in in_order(work, weights, workers=4, room=4, weight=lambda weight: weight):
        with lock:
            begun -= weight
    assert heaviest <= most


def test_a_failure_is_raised_in_its_place_and_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return 1 // (item - 3)

    results = in_order(work, range(100), workers=2, room=4)
    assert [next(results) for _ in range(3)] == [1 // (item - 3) for item in range(3)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert max(begun) < 10
