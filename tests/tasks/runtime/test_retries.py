"""The budget of retries: refilled by progress, not by drops of it; never spent on what is hopeless."""

import pkgutil
from importlib import import_module
from itertools import count

import pytest
from prefect import Task

import tasks
from catalog.errors import (
    CatalogUnavailable,
    ImagewrightError,
    SourceChanged,
    SourceNotFound,
    StorageRefused,
    StorageUnavailable,
    TransferInterrupted,
    TransferTooLong,
)
from tasks.runtime.retries import is_away, persist

RETRIES = 3
PACE = 1000  # bytes per second


class Server:
    """Gives so many bytes an attempt, and lets time pass when somebody waits."""

    def __init__(self, bytes_each: int, size: int, error: ImagewrightError | None = None) -> None:
        self.bytes_each, self.size = bytes_each, size
        self.error = error or TransferInterrupted("http://host/x", 0, "cut")
        self.kept, self.asked, self.now, self.pauses = 0, 0, 0.0, list[float]()

    def attempt(self) -> None:
        self.asked += 1
        self.kept += self.bytes_each
        if self.kept < self.size:
            raise self.error

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)

    def persist(self) -> None:
        persist(self.attempt, lambda: self.kept, RETRIES, 2.0, lambda _: None, self.sleep,
                min_pace_bytes_s=PACE, clock=lambda: self.now)  # fmt: skip


def test_progress_refills_the_budget() -> None:
    server = Server(bytes_each=10_000, size=500_000)
    server.persist()
    assert server.asked == 50
    assert max(server.pauses) <= 3.0, "each was the first failure since progress"


@pytest.mark.parametrize("bytes_each", [0, 1, 500])
def test_a_server_that_gives_next_to_nothing_an_attempt_is_given_up(bytes_each: int) -> None:
    server = Server(bytes_each, size=1 << 30)
    with pytest.raises(TransferInterrupted):
        server.persist()
    assert server.asked <= RETRIES + 2
    assert server.now < 60


def test_what_is_hopeless_is_tried_once() -> None:
    server = Server(0, 1, SourceNotFound("http://host/x", "no"))
    with pytest.raises(SourceNotFound):
        server.persist()
    assert server.asked == 1


def test_a_source_that_never_stays_the_same_is_started_over_a_few_times_only() -> None:
    server = Server(1_000_000, 1 << 40)
    cut, changed = server.error, SourceChanged("http://host/x", "one", "another")

    def attempt() -> None:
        server.error = changed if server.error is cut else cut
        if server.error is changed:
            server.kept = -server.bytes_each
        server.attempt()

    with pytest.raises(SourceChanged):
        persist(attempt, lambda: server.kept, RETRIES, 2.0, lambda _: None, server.sleep)
    assert server.asked == 2 * RETRIES + 1


def test_when_the_time_is_up_nothing_is_tried_again() -> None:
    server = Server(100_000, 1 << 30, TransferTooLong("http://host/x", 0, 60))
    with pytest.raises(TransferTooLong):
        server.persist()
    assert server.asked == 1


def test_every_task_has_a_rule_from_here() -> None:
    modules = [import_module(found.name) for found in pkgutil.walk_packages(tasks.__path__, "tasks.")]
    every = {one.name: one for module in modules for one in vars(module).values() if isinstance(one, Task)}
    ruled = {name for name, one in every.items() if one.retry_condition_fn is not None}
    assert len(every) > 70
    assert set(every) - ruled == set(), "retrying() or once(why) of tasks/runtime/retries.py"
    assert all(one.retry_condition_fn.__module__ == "tasks.runtime.retries" for one in every.values())


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (StorageUnavailable("s3", "it does not answer"), True),
        (CatalogUnavailable("postgresql://x", "it does not answer"), True),
        (TransferInterrupted("http://host/x", 0, "cut"), True),
        (TransferTooLong("http://host/x", 0, 60), False),
        (SourceNotFound("http://host/x", "no"), False),
        (StorageRefused("s3", "wrong key"), False),
    ],
)
def test_what_may_be_back_is_waited_for(error: ImagewrightError, away: bool) -> None:
    assert is_away(error) is away


def test_a_server_that_says_when_is_asked_then_but_not_in_an_hour() -> None:
    answers = count(20, 3580)
    server = Server(0, 1)

    def attempt() -> None:
        server.asked += 1
        raise TransferInterrupted("http://host/x", 0, "busy", retry_after_s=float(next(answers)))

    with pytest.raises(TransferInterrupted):
        persist(attempt, lambda: 0, 2, 0.1, lambda _: None, server.sleep)
    assert server.pauses == [20.0, 60.0]
