import time

from storage.chips.codec import Codec
from storage.chips.pace import Pace


def passed(blocks: int, waited_s: float, worked_s: float) -> Pace:
    pace = Pace()
    for _ in range(blocks):
        time.sleep(waited_s)
        with pace.working():
            time.sleep(worked_s)
    return pace


def test_a_slow_source_leaves_time_and_a_fast_one_does_not() -> None:
    assert passed(8, 0.02, 0.001).leisurely
    assert not passed(8, 0, 0.005).leisurely
    assert not passed(1, 0.02, 0.001).leisurely


def test_at_leisure_chips_become_smaller() -> None:
    text = b"".join(f"{number * 7919 % 10007} some words of a log file\n".encode() for number in range(4000))
    codec = Codec(1)
    assert len(codec.encode(memoryview(text), hurried=False)[1]) < len(codec.encode(memoryview(text))[1])
