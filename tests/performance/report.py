"""The table of a bench, and what it was measured on."""

import hashlib
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.performance.engine import Measured
from tests.performance.peers import run

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One line of the table. bar: the ratio wanted; smaller is better unless `at_least`."""

    work: str
    against: str
    ours: Measured
    theirs: Measured
    bar: float
    at_least: bool = False

    @property
    def ratio(self) -> float:
        """Ours to theirs, or theirs to ours where more is wanted."""
        fraction = self.ours.wall / self.theirs.wall
        return 1 / fraction if self.at_least else fraction

    def __str__(self) -> str:
        met = self.ratio >= self.bar if self.at_least else self.ratio <= self.bar
        sign = "≥" if self.at_least else "≤"
        return (
            f"| {self.work} | {self.ours.wall:.2f} ({self.ours.cpu:.2f}) | {self.against} {self.theirs.wall:.2f} "
            f"({self.theirs.cpu:.2f}) | {self.ratio:.2f} | {sign} {self.bar:.2f} | {'yes' if met else 'no'} |"
        )


@dataclass(frozen=True)
class Figure:
    """One line of the table about something other than time. bar: as in `Row`, or the most that ours may be where there is no peer."""

    work: str
    against: str
    ours: float
    theirs: float
    bar: float
    unit: str = "MB"
    at_least: bool = False

    def __str__(self) -> str:
        ratio = self.theirs / self.ours if self.at_least else self.ours / self.theirs
        met, sign = (ratio >= self.bar, "≥") if self.at_least else (ratio <= self.bar, "≤")
        ours, theirs = (f"{value:.1f} {self.unit}" for value in (self.ours, self.theirs))
        return f"| {self.work} | {ours} | {self.against} {theirs} | {ratio:.2f} | {sign} {self.bar:.2f} | {'yes' if met else 'no'} |"


def machine() -> str:
    """Say what this was measured on, and how busy it was."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown processor",
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{model}, {os.cpu_count()} cores ({cores_free():.1f} free), Linux {platform.release()}, Python {platform.python_version()}, load {load}"


def cores_free() -> float:
    """Return how many cores two threads of MD5 really get now: the engine's ratios assume two."""
    block = bytes(1 << 20)

    def work(_number: int) -> None:
        digest = hashlib.md5()
        for _ in range(512):
            digest.update(block)

    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    return (time.process_time() - cpu) / (time.perf_counter() - began)


def disk_speed(folder: Path) -> str:
    """Say how fast the folder takes durable bytes: no durable add can be faster."""
    target = folder / "probe"
    measured = run(["dd", "if=/dev/zero", f"of={target}", "bs=4M", "count=128", "conv=fsync"])
    target.unlink()
    return f"{512 / measured.wall:.0f} MiB/s durable in {folder}"


def write_results(
    target: Path, rows: Sequence[Row | Figure], notes: Sequence[str], runs: int, before: str, speed: str
) -> None:
    """Write the table of a run to a file."""
    lines = [
        "# Measured",
        "",
        f"Machine: {before}; at the end: {machine().rpartition(', load ')[2]}. Medium: {speed}. Medians of {runs} paired runs.",
        "Seconds of wall time, CPU seconds in brackets, where no other unit stands. Ours without the interpreter's start and imports (the flows'",
        "workers are running already); the others as commands. Ratio: ours to theirs, or theirs to ours where more is wanted.",
        "Free memory is touched before each run: a virtual machine gets it slowly the first time, whoever asks.",
        "",
        "| work | ours | against | ratio | bar | met |",
        "|---|---|---|---|---|---|",
        *map(str, rows),
        "",
        *(f"- {note}" for note in notes),
        "",
    ]
    target.write_text("\n".join(lines))
