"""What a terminal shows of a transfer."""

import io

from flows.client.transfers.progress import ERASED, ProgressLine, duration, line


def test_a_line_has_rate_and_time_left() -> None:
    assert line("sending", 512 << 20, 1 << 30, 64 << 20) == "sending: 512 MiB of 1 GiB (50 %), 64 MiB/s, 0:08 left"
    assert line("sending", 5, None, 0) == "sending: 5 B"
    assert line("sending", 10, 10, 5) == "sending: 10 B of 10 B (100 %), 5 B/s"
    assert line("x", 0, 0, 0) == "x: 0 B of 0 B (0 %)"
    assert [duration(s) for s in (0, 7.4, 750, 11_045)] == ["0:00", "0:07", "12:30", "3:04:05"]


def test_the_rate_is_of_the_last_seconds_and_the_line_is_not_written_too_often() -> None:
    now, terminal = [0.0], io.StringIO()
    shown = ProgressLine(terminal, lambda: now[0])
    for second in range(30):
        now[0] = float(second)
        shown((100 if second < 15 else 100 + 1000 * (second - 14)), 1 << 20, "downloading")
        shown(101, 1 << 20, "downloading")  # at the same moment
    lines = terminal.getvalue().split(ERASED)[1:]
    assert len(lines) == 30
    assert "1000 B/s" in lines[-1]
    shown.end()
    assert terminal.getvalue().endswith(ERASED)
