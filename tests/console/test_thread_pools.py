"""Threads for what waits for others: bounded, with a limit, and free again when they end."""

import asyncio
import os
import threading
import time
from contextvars import ContextVar

import pytest

from console.serving import be_impatient
from console.thread_pools import TookTooLong, Waiting

HERE: ContextVar[str] = ContextVar("HERE")


def test_what_a_function_returns_and_raises_comes_back() -> None:
    async def asked() -> tuple[str, str]:
        HERE.set("seen")
        waiting = Waiting("it", threads=1, queue=0, limit_s=10)
        with pytest.raises(ZeroDivisionError):
            await waiting(lambda: 1 // 0)
        return await waiting("{}".format, 7), await waiting(HERE.get)

    assert asyncio.run(asked()) == ("7", "seen")


def test_what_takes_too_long_is_given_up_and_queues_behind_it_do_not_grow() -> None:
    held, at_once, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def hold() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        held.wait(30)
        with lock:
            at_once -= 1

    async def crowd() -> list[object]:
        waiting = Waiting("the plan", threads=2, queue=3, limit_s=0.5)
        found = await asyncio.gather(*(waiting(hold) for _ in range(50)), return_exceptions=True)
        held.set()
        await asyncio.sleep(0.2)
        await waiting(time.monotonic)  # its threads are free again
        return list(found)

    errors = [str(error) for error in asyncio.run(crowd()) if isinstance(error, TookTooLong)]
    assert (len(errors), most) == (50, 2)
    assert errors.count("the plan did not end within 0.5 s; try again later") == 5
    assert errors.count("the plan waits for others, as 5 more do; try again later") == 45


def test_the_console_waits_less_and_what_is_shorter_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"CONNECT_TIMEOUT_S": "1.5", "READ_TIMEOUT_S": "60", "RETRIES": ""}
    for name, value in given.items():
        monkeypatch.setenv(f"IMAGEWRIGHT_{name}", value)
    be_impatient()
    assert {name: os.environ[f"IMAGEWRIGHT_{name}"] for name in given} == {
        "CONNECT_TIMEOUT_S": "1.5", "READ_TIMEOUT_S": "10", "RETRIES": "0",
    }  # fmt: skip
