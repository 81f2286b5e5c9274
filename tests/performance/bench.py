"""`make bench`: the engine side by side with md5sum, borg, restic, casync and s3fs on the same bytes.

`python -m tests.performance.bench [--folder DIR] [--disks DIR] [--runs N]`. Runs are paired: one after the other, then
again; medians are shown, with CPU seconds beside, which say more on a busy machine. Writes RESULTS.md.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.performance.engine import Measured
from tests.performance.flow_overhead import Overhead
from tests.performance.peers import Peer, engine, md5sum, run, stored
from tests.performance.report import HERE, Row, disk_speed, machine, write_results
from tests.services.nginx import nginx
from tests.services.prefect import prefect_server

PEERS = ("borg", "restic", "casync")
GIB = 1 << 30
TOUCHED = 3 * GIB


class Bench:
    """The runs, in a scratch folder."""

    def __init__(self, folder: Path, disks: Path, runs: int) -> None:
        self.folder, self.disks, self.runs = folder, disks, runs
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def median(self, *works: Callable[[], Measured]) -> list[Measured]:
        """Run all, one after the other, several times; return the median of each by wall time."""
        results: list[list[Measured]] = [[] for _ in works]
        for _ in range(self.runs):
            for work, found in zip(works, results, strict=True):
                self._touch()
                found.append(work())
        return [sorted(found, key=lambda m: m.wall)[len(found) // 2] for found in results]

    def _touch(self) -> None:
        """Have the machine own the memory that a run may fill the folder with, if that is where the folder lies."""
        if not self.folder.is_relative_to("/dev/shm"):
            return
        target = self.folder / "touched"
        run(["dd", "if=/dev/zero", f"of={target}", "bs=4M", f"count={TOUCHED >> 22}"])
        target.unlink()

    def add(self, name: str) -> None:
        """Compare the add of a first and of a second build."""
        first, second = self.disks / f"base{name}", self.disks / f"rebuilt{name}"
        peers = [p for n in PEERS if (p := Peer(n, self.folder / n)).there] if name != ".raw" else []
        sums = self.median(
            lambda: md5sum(first), lambda: self._first(first), *(self._peer_first(p, first) for p in peers)
        )
        self._compare(
            f"add{name}, first build", sums, peers, 1.8, {"borg": 1.5, "restic": 3.0, "casync": 3.0}
        )
        sums = self.median(
            lambda: md5sum(second),
            lambda: self._second(second),
            *(self._peer_second(p, first, second) for p in peers),
        )
        self._compare(f"add{name}, second build", sums, peers, 1.25, {"borg": 1.5})

    def special(self, what: str, path: Path) -> None:
        """Compare the add of one file with md5sum."""
        theirs, ours = self.median(lambda: md5sum(path), lambda: self._first(path))
        self.rows.append(Row(f"add {what}", "md5sum", ours, theirs, 1.2))
        self.notes.append(
            f"add {what}: peak memory {ours.rss_mib} MiB, {ours.grown_mib} MiB above the imports"
        )

    def beside_cp(self) -> None:
        """Show one add beside md5sum and cp of the same file, with its peak memory."""
        path, target = self.disks / "base.qcow2", self.folder / "copied"
        ours, theirs, copied = self.median(
            lambda: self._first(path), lambda: md5sum(path), lambda: run(["cp", path, target])
        )
        self.notes.append(
            f"add .qcow2 {ours.wall:.2f} s, peak memory {ours.rss_mib} MiB; md5sum {theirs.wall:.2f} s; "
            f"cp {copied.wall:.2f} s (not durable)"
        )

    def sizes(self) -> None:
        """Compare what two images take, the second rebuilt or upgraded in place."""
        for second in ("rebuilt", "upgraded"):
            files = [self.disks / "base.qcow2", self.disks / f"{second}.qcow2"]
            if not files[1].exists():
                continue
            sizes = {"imagewright": self._stored(files)}
            for name in PEERS:
                peer = Peer(name, self.folder / name)
                if peer.there:
                    peer.begin()
                    for number, path in enumerate(files):
                        peer.add(path, number)
                    sizes[name] = peer.stored_bytes
            line = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sizes.items())
            self.notes.append(f"stored MB after base + {second}: {line}")

    def export(self) -> None:
        """Compare the export with md5sum of the result and with the peers."""
        path, target = self.disks / "base.qcow2", self.folder / "exported"
        peers = [p for n in PEERS if (p := Peer(n, self.folder / n)).there]
        self._first(path)
        for peer in peers:
            peer.begin()
            peer.add(path, 0)
        store = self.folder / "store"
        works = [lambda: engine("export", store, target, "0"), lambda: md5sum(target)]
        works += [partial(peer.extract, path, 0, self.folder / "extracted") for peer in peers]
        ours, theirs, *others = self.median(*works)
        self.rows.append(Row("export .qcow2", "md5sum", ours, theirs, 1.0))
        self.rows += [
            Row("export .qcow2", p.name, ours, m, 1.5, at_least=True)
            for p, m in zip(peers, others, strict=True)
        ]

    def s3(self) -> None:
        """Compare the add to a real S3 server with s3fs putting the same compressed bytes in 16 MiB objects."""
        from tests.services.s3 import server

        path, address = self.disks / "base.qcow2", self.folder / "s3.json"
        found = server()
        prefixes = iter(range(1000))

        def ours() -> Measured:
            address.write_text(found.address(f"bench-{next(prefixes)}").model_dump_json())
            return engine("add", address, path, "0")

        self._first(path)
        packs = sorted((self.folder / "store" / "packs").rglob("*"))
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "tests.performance.s3_puts",
            found.endpoint,
            *(p for p in packs if p.is_file()),
        ]
        theirs, measured = self.median(lambda: Measured.model_validate_json(_output(command)), ours)
        self.rows.append(Row("add .qcow2 to S3", "s3fs puts", measured, theirs, 1.3))

    def http(self) -> None:
        """Compare the add from an nginx on loopback with curl to a file and md5sum of it."""
        target = self.folder / "fetched"
        with nginx(self.folder / "nginx", self.disks) as server:
            url = f"{server.url}/base.qcow2"
            command = ["sh", "-c", f"curl -sS -o {target} {url} && md5sum {target}"]
            theirs, ours = self.median(lambda: run(command), lambda: engine("add", self._fresh(), url, "0"))
        self.rows.append(Row("add .qcow2 from http", "curl, md5sum", ours, theirs, 1.1))

    def flow(self) -> None:
        """Compare the add of a 1 MiB image, on a running Prefect server, with as many empty tasks."""
        home, database = self.folder / "home", self.folder / "database"
        settings = {"IMAGEWRIGHT_HOME": str(home), "IMAGEWRIGHT_FILE_ROOTS": str(home)}
        home.mkdir()
        database.mkdir()
        with prefect_server(self.folder / "server", database, settings) as server:
            command = [sys.executable, "-m", "tests.performance.flow_overhead", str(home)]
            done = subprocess.run(
                command, env=dict(server.environment), capture_output=True, text=True, check=True
            )
        found = Overhead.model_validate_json(done.stdout.splitlines()[-1])
        bare = f"bare flow, {found.tasks} tasks"
        self.rows.append(Row("flow that adds 1 MiB", bare, _wall(found.ours), _wall(found.bare), 1.5))

    def sync(self) -> None:
        """Compare the bytes read for a changed and an unchanged image with those of the chips that were missing."""
        store, other = self._fresh(), self.folder / "other"
        for number, name in enumerate(("base", "rebuilt")):
            before = stored(store) if number else 0
            engine("add", store, self.disks / f"{name}.qcow2", str(number))
            missing = stored(store) - before
            read = engine("sync", store, other, str(number)).stored_bytes
            self.notes.append(
                f"sync of {name}: {read / 1e6:.2f} MB read for {missing / 1e6:.2f} MB of new chips"
            )
        again = engine("sync", store, other, "1").stored_bytes
        self.notes.append(f"sync of an unchanged image: {again / 1e6:.2f} MB read (index and manifest)")
        shutil.rmtree(other)

    def _compare(
        self, work: str, sums: Sequence[Measured], peers: Sequence[Peer], bar: float, bars: dict[str, float]
    ) -> None:
        theirs, ours, *others = sums
        self.rows.append(Row(work, "md5sum", ours, theirs, bar))
        for peer, measured in zip(peers, others, strict=True):
            if peer.name in bars:
                self.rows.append(Row(work, peer.name, ours, measured, bars[peer.name], at_least=True))

    def _fresh(self) -> Path:
        store = self.folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        return store

    def _first(self, path: Path) -> Measured:
        return engine("add", self._fresh(), path, "0")

    def _second(self, path: Path) -> Measured:
        store = self._fresh()
        engine("add", store, path.with_name(path.name.replace("rebuilt", "base")), "0")
        return engine("add", store, path, "1")

    def _stored(self, files: Sequence[Path]) -> int:
        store = self._fresh()
        for number, path in enumerate(files):
            engine("add", store, path, str(number))
        return stored(store)

    @staticmethod
    def _peer_first(peer: Peer, path: Path) -> Callable[[], Measured]:
        def work() -> Measured:
            peer.begin()
            return peer.add(path, 0)

        return work

    @staticmethod
    def _peer_second(peer: Peer, first: Path, second: Path) -> Callable[[], Measured]:
        def work() -> Measured:
            peer.begin()
            peer.add(first, 0)
            return peer.add(second, 1)

        return work


def _wall(seconds: float) -> Measured:
    return Measured(wall=seconds, cpu=0, rss_mib=0, grown_mib=0)


def _output(command: Sequence[str | Path]) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None, help="scratch folder; default: a temporary one")
    parser.add_argument(
        "--disks", type=Path, default=Path(".cache/bench-disks"), help="where the Debian disks are built"
    )
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if not (options.disks / "rebuilt-compressed.qcow2").exists():
        run(["bash", HERE / "build_disks.sh", options.disks])
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as scratch:
        bench = Bench(Path(scratch), options.disks.absolute(), options.runs)
        before, speed = machine(), disk_speed(bench.folder)
        for section in _sections(bench):
            section()
            write_results(
                bench.rows, bench.notes, bench.runs, before, speed
            )  # a run takes minutes: what was measured is kept
    sys.stdout.write((HERE / "RESULTS.md").read_text())


def _sections(bench: Bench) -> Iterator[Callable[[], None]]:
    """Yield the parts of the table."""
    for name in (".qcow2", "-compressed.qcow2", ".raw"):
        yield partial(bench.add, name)
    yield bench.beside_cp
    yield bench.sizes
    yield bench.export
    yield bench.s3
    yield bench.http
    yield bench.flow
    yield bench.sync
    noise, sparse = bench.folder / "random", bench.folder / "sparse"
    run(["dd", "if=/dev/urandom", f"of={noise}", "bs=4M", "count=256"])
    yield partial(bench.special, "1 GiB of random bytes", noise)
    noise.unlink()
    with sparse.open("wb") as file:
        file.truncate(8 * GIB)
    yield partial(bench.special, "a sparse 8 GiB", sparse)


if __name__ == "__main__":
    main()
