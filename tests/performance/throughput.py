"""Many small adds and single managing operations on a real `imagewright serve`: `python -m tests.performance.throughput [IMAGES]`.

Seconds are those between the server's own stamps: a run's creation and its end. CPU seconds are of all that serves: Prefect's server,
the worker, what it forks, the console and the quality agent.
"""

import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from catalog.records import Record
from tests.performance.engine import Measured
from tests.performance.report import Row
from tests.performance.rounds import Rounds
from tests.services.serving import Serving, serving

IMAGES, PRESSES, WARM = 100, 21, 6
SIZE = 1 << 20
WITHIN_S = 900.0
A_MINUTE, CPU_S, PRESS_S = 50, 2.0, 1.0
"""The bars."""
TICKS = os.sysconf("SC_CLK_TCK")


class Throughput(Record):
    """What was measured. cpu: seconds an image by process; press: seconds of each managing operation."""

    images: int
    seconds: float
    p95: float
    cpu: dict[str, float]
    press: tuple[float, ...]

    @property
    def an_image(self) -> float:
        """Wall seconds an image."""
        return self.seconds / self.images

    @property
    def press_median(self) -> float:
        """Seconds from press to Completed."""
        return statistics.median(self.press)


def measure(folder: Path, images: int = IMAGES) -> Throughput:
    """Add images at once, then manage one of them again and again."""
    with serving(folder, IMAGEWRIGHT_FILE_ROOTS=str(folder), **_memory(folder)) as served:
        ids = [str(run["id"]) for run in added(served, folder, WARM)]  # the agent and the caches are there
        before, began = cpu(served), time.monotonic()
        runs = added(served, folder, images)
        seconds = time.monotonic() - began
        used = {name: (after - before.get(name, 0.0)) / images for name, after in cpu(served).items()}
        lasted = sorted(map(_lasted, runs))
        press = tuple(_pressed(served, ids[0], number) for number in range(PRESSES))
    return Throughput(images=images, seconds=seconds, p95=lasted[int(0.95 * len(lasted))], cpu=used, press=press)


def added(served: Serving, folder: Path, count: int) -> list[dict[str, object]]:
    """Have images added, all asked for at once; return their runs when the last has ended."""
    deployment = _record(served.ask("deployments/name/add-volume-image/add-volume-image"))
    runs = [_begin(served, deployment, {"name": file.stem, "image_format": "raw", "image_path": file.as_uri()})
            for file in _files(folder, count)]  # fmt: skip
    return [_ended(served, run) for run in runs]


def _files(folder: Path, count: int) -> Iterator[Path]:
    for _ in range(count):
        file = folder / f"{os.urandom(8).hex()}.raw"
        file.write_bytes(os.urandom(SIZE))
        yield file


def _pressed(served: Serving, image_id: str, number: int) -> float:
    """Return how long a managing operation takes, in turn one that disables and one that enables."""
    time.sleep(0.5)
    name = ("disable-image", "enable-image")[number % 2]
    deployment = _record(served.ask(f"deployments/name/{name}/{name}"))
    return _lasted(_ended(served, _begin(served, deployment, {"image_ids": [image_id]})))


def _begin(served: Serving, deployment: dict[str, object], request: dict[str, object]) -> str:
    body = {"parameters": {"request": request}, "state": {"type": "SCHEDULED"}}
    return str(_record(served.ask(f"deployments/{deployment['id']}/create_flow_run", body))["id"])


def _ended(served: Serving, run_id: str) -> dict[str, object]:
    deadline = time.monotonic() + WITHIN_S
    while True:
        run = _record(served.ask(f"flow_runs/{run_id}"))
        if run["state_type"] == "COMPLETED":
            return run
        assert run["state_type"] not in ("FAILED", "CRASHED", "CANCELLED"), run["state"]
        assert time.monotonic() < deadline, run["state"]
        time.sleep(0.25)


def _lasted(run: dict[str, object]) -> float:
    created, ended = (datetime.fromisoformat(str(run[name])) for name in ("created", "end_time"))
    return (ended - created).total_seconds()


def cpu(served: Serving) -> dict[str, float]:
    """Return the CPU seconds that each part of the service has used, what it started and has ended counted in."""
    used: defaultdict[str, float] = defaultdict(float)
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()):
        if (name := _part(served, pid)) is not None:
            used[name] += _seconds(pid)
    return dict(used)


PARTS = {"flows.server.app": "server", "deployments.worker.workers": "worker", "deployments.worker.parent": "runs",
         "console": "console", "catalog.quality.agent": "quality agent"}  # fmt: skip


def _part(served: Serving, pid: int) -> str | None:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        ours = f"IMAGEWRIGHT_HOME={served.home}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    return PARTS.get(module) if ours else None


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def _record(answer: object) -> dict[str, object]:
    assert isinstance(answer, dict), answer
    return answer


def _memory(folder: Path) -> dict[str, str]:
    (folder / "memory").mkdir(exist_ok=True)
    return {"IMAGEWRIGHT_RECEIVING": str(folder / "memory")}


def rows(bench: Rounds) -> None:
    """Add what was measured to the table of `make bench`."""
    folder = bench.folder / "throughput"
    folder.mkdir()
    found = measure(folder)
    spent = sum(found.cpu.values())
    bench.rows += [
        Row("adds of 1 MiB at once, an image", f"{A_MINUTE} a minute", _wall(found.an_image, spent), _wall(60 / A_MINUTE, CPU_S), 1.0),
        Row("press to Completed", "the bar", _wall(found.press_median, 0), _wall(PRESS_S, 0), 1.0),
    ]  # fmt: skip
    bench.notes.append(sentence(found))


def sentence(found: Throughput) -> str:
    """Say what was measured in one line."""
    shares = ", ".join(
        f"{name} {seconds:.2f}" for name, seconds in sorted(found.cpu.items(), key=lambda item: -item[1])
    )
    return (
        f"{found.images} adds of 1 MiB at once: {60 / found.an_image:.0f} a minute, p95 {found.p95:.1f} s from asking to Completed; "
        f"{sum(found.cpu.values()):.2f} CPU s an image ({shares}); a managing operation takes {found.press_median:.2f} s at the median "
        f"of {len(found.press)} ({min(found.press):.2f} to {max(found.press):.2f})"
    )


def _wall(wall: float, cpu_s: float) -> Measured:
    return Measured(wall=wall, cpu=cpu_s, rss_mib=0, grown_mib=0)


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        sys.stdout.write(sentence(measure(Path(folder), int(arguments[0]) if arguments else IMAGES)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
