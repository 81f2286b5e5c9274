"""What was freed goes back to the system."""

import ctypes
from pathlib import Path

import pytest

from storage.transfer import memory


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_was_freed_goes_back() -> None:
    small = [bytes(1000) for _ in range(100_000)]
    last = bytes(1000)  # what is behind the freed bytes keeps the heap from shrinking by itself
    del small
    before = resident()
    memory.give_back()
    assert resident() < before - (50 << 20)
    assert len(last) == 1000


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_library", lambda: ctypes.CDLL("libm.so.6"))
    memory.give_back()
