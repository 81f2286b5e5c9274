import email
import time
from pathlib import Path

from storage.imagestore.format.codec import Codec
from storage.imagestore.writing.pipeline import SpareTime


def passed(blocks: int, waited_s: float, worked_s: float) -> SpareTime:
    pace = SpareTime()
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
    text = b"".join(path.read_bytes() for path in sorted(Path(email.__file__).parent.glob("*.py")))[: 128 << 10]
    codec = Codec(1)
    assert len(codec.encode(memoryview(text), hurried=False)[1]) < len(codec.encode(memoryview(text))[1])
