"""An image downloaded straight from its chips beside the same file from nginx: `python -m tests.performance.downloads [MIB]`.

curl fetches both, in turn, over loopback: into a file, as somebody does who wants it, and into nothing, where only what serves counts.
Then twenty fetch the image at once, and the memory of the console is looked at while they do. The console is a process of its own.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.definitions import ROOT
from tests.performance.engine import Measured
from tests.performance.peers import run
from tests.performance.report import Row
from tests.performance.rounds import Rounds
from tests.services.nginx import nginx
from tests.services.process import free_port, running

MIB, SIZE_MIB, ROUNDS, AT_ONCE, BAR = 1 << 20, 512, 5, 20, 0.8


class Console:
    """A console that answers, by process. url: of the image's bytes."""

    def __init__(self, pid: int, url: str, token: str) -> None:
        self.pid, self.url, self.token = pid, url, token

    def rss_mib(self) -> float:
        """Return what it has in memory of its own and shared, in MiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / MIB

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def curl(self, target: Path | str) -> list[str]:
        """Return the command that fetches the image."""
        return ["curl", "-sSf", "-H", f"Authorization: Bearer {self.token}", "-o", str(target), self.url]


@contextmanager
def console(folder: Path, content: bytes) -> Iterator[Console]:
    """Serve a home that holds one image with this content."""
    (folder / "memory").mkdir(parents=True)
    settings = {"HOME": str(folder / "home"), "RECEIVING": str(folder / "memory"), "CATALOG_URL": ""}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"IMAGEWRIGHT_{name}", value)
        from tests.console.api.v1.people import everybody
        from tests.flows.managed import placed

        image = placed(content, owner="team", virtual_size_bytes=len(content))
        token = everybody()["user"]["Authorization"].partition(" ")[2]
        port = free_port()
        command = [sys.executable, "-m", "tests.performance.downloads", "serve", str(port)]
        with running(command, folder, port, dict(os.environ, PYTHONPATH=str(ROOT)), within_s=200) as process:
            yield Console(process.pid, f"http://127.0.0.1:{port}/api/v1/images/{image.id}/content", token)


def paired(theirs: Sequence[str], ours: Sequence[str], rounds: int) -> tuple[Measured, Measured]:
    """Run both in turn, several times; return the median of each."""
    found: list[list[Measured]] = [[], []]
    for _ in range(rounds):
        for command, into in zip((theirs, ours), found, strict=True):
            into.append(run(command))
    one, other = (sorted(each, key=lambda measured: measured.wall)[rounds // 2] for each in found)
    return one, other


def at_once(served: Console, count: int) -> tuple[float, float, float]:
    """Fetch many times at once; return the seconds, and the MiB of the console before and at the most."""
    before, most, ended = served.rss_mib(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.05):
            most = max(most, served.rss_mib())

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.perf_counter()
    fetching = [subprocess.Popen(served.curl("/dev/null")) for _ in range(count)]
    assert [one.wait() for one in fetching] == [0] * count
    seconds = time.perf_counter() - began
    ended.set()
    watching.join()
    return seconds, before, most


def measure(folder: Path, size_mib: int, rounds: int, said: Callable[[str], object]) -> list[Row]:
    """Measure everything; return the rows of the table and say the rest."""
    content, rows = os.urandom(size_mib * MIB), []
    (folder / "www").mkdir()
    (folder / "www" / "image.raw").write_bytes(content)
    with console(folder / "console", content) as served, nginx(folder / "nginx", folder / "www") as site:
        for name, target in (("a file", folder / "fetched"), ("nothing", Path("/dev/null"))):
            run(served.curl(target))
            cpu_s = served.cpu_s()
            theirs, ours = paired(
                ["curl", "-sSf", "-o", str(target), f"{site.url}/image.raw"], served.curl(target), rounds
            )
            cpu_s = (served.cpu_s() - cpu_s) / rounds
            rows.append(
                Row(
                    f"download {size_mib} MiB of random bytes into {name}",
                    "nginx, curl",
                    ours,
                    theirs,
                    BAR,
                    at_least=True,
                )
            )
            said(f"into {name}: the console takes {cpu_s / size_mib * 1024:.2f} CPU s for each GiB")
        if target == folder / "fetched":
            target.unlink()
        seconds, before, most = at_once(served, AT_ONCE)
    said(
        f"{AT_ONCE} downloads of {size_mib} MiB at once: {AT_ONCE * size_mib / seconds:.0f} MiB/s together; the console has "
        f"{before:.0f} MiB before and {most:.0f} at the most"
    )
    return rows


def rows(bench: Rounds) -> None:
    """Add what was measured to the table of `make bench`."""
    folder = bench.folder / "downloads"
    folder.mkdir()
    bench.rows += measure(folder, SIZE_MIB, bench.runs, bench.notes.append)


def serve(port: int) -> None:
    """Serve the console of the settings until SIGTERM."""
    from catalog.settings import load_settings
    from console.app import create_app
    from console.serving import run as serving
    from tests.console.api.v1.people import AUTH

    settings = load_settings()
    serving(create_app(settings, AUTH), "127.0.0.1", port, settings)


def main(arguments: Sequence[str]) -> None:
    """Measure and print; `serve PORT` is what the console is started with."""
    if arguments and arguments[0] == "serve":
        serve(int(arguments[1]))
        return
    with tempfile.TemporaryDirectory(prefix="downloads-") as folder:
        found = measure(
            Path(folder), int(arguments[0]) if arguments else SIZE_MIB, ROUNDS, lambda line: print(line, flush=True)
        )
    sys.stdout.writelines(f"{row}\n" for row in found)


if __name__ == "__main__":
    main(sys.argv[1:])
