"""The engine on S3, from HTTP, through Prefect and from store to store."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.performance.engine import Measured
from tests.performance.flow_overhead import Overhead
from tests.performance.peers import engine, run, stored
from tests.performance.report import Row
from tests.performance.rounds import Rounds
from tests.services.nginx import nginx
from tests.services.prefect import prefect_server
from tests.services.s3 import server, stoppable


def s3(bench: Rounds) -> None:
    """Compare the add to a real S3 server with s3fs putting the same compressed bytes in 16 MiB objects."""
    path, address = bench.disks / "base.qcow2", bench.folder / "s3.json"
    found = server()
    prefixes = iter(range(1000))

    def ours() -> Measured:
        address.write_text(found.address(f"bench-{next(prefixes)}").model_dump_json())
        return engine("add", address, path, "0")

    bench.first(path)
    given = (bench.folder / "store").rename(bench.folder / "given")  # the adds that follow begin a store of their own
    packs = sorted((given / "packs").rglob("*"))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.performance.s3_puts",
        found.endpoint,
        *(p for p in packs if p.is_file()),
    ]
    theirs, measured, local = bench.median(
        lambda: Measured.model_validate_json(_output(command)), ours, lambda: bench.first(path)
    )
    shutil.rmtree(given)
    bench.rows.append(Row("add .qcow2 to S3", "s3fs puts", measured, theirs, 1.3))
    bench.rows.append(Row("add .qcow2 to S3", "our add to a directory", measured, local, 1.4))


def s3_apart(bench: Rounds) -> None:
    """Compare the add to S3 with that to a directory, ours on one core and the server on another, as on a machine of its own."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        bench.notes.append("one core: the server of S3 was not measured apart")
        return
    path, address, prefixes = bench.disks / "base.qcow2", bench.folder / "s3.json", iter(range(1000))
    place = bench.folder / "weed"
    place.mkdir()
    with ExitStack() as stack:
        with on_core(cores[1]):
            found, _ = stack.enter_context(stoppable(place))

        def ours() -> Measured:
            address.write_text(found.address(f"bench-{next(prefixes)}").model_dump_json())
            return engine("add", address, path, "0")

        with on_core(cores[0]):
            measured, local = bench.median(ours, lambda: bench.first(path))
    shutil.rmtree(place)
    bench.rows.append(Row("add .qcow2 to S3, a core each", "our add to a directory, one core", measured, local, 1.4))
    bench.notes.append(f"add .qcow2 to S3: peak memory {measured.rss_mib} MiB")


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Have whatever is started in the block run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def http(bench: Rounds) -> None:
    """Compare the add from an nginx on loopback with curl to a file and md5sum of it."""
    with nginx(bench.folder / "nginx", bench.disks) as server:
        for name in (".qcow2", "-compressed.qcow2", ".raw"):
            _http(bench, name, f"{server.url}/base{name}")


def _http(bench: Rounds, name: str, url: str) -> None:
    target = bench.folder / "fetched"
    command = ["sh", "-c", f"curl -sS -o {target} {url} && md5sum {target}"]
    theirs, ours = bench.median(lambda: run(command), lambda: engine("add", bench.fresh(), url, "0"))
    bench.rows.append(Row(f"add {name} from http", "curl, md5sum", ours, theirs, 1.1))
    target.unlink()


def flow(bench: Rounds) -> None:
    """Compare the add of a 1 MiB image, on a running Prefect server, with as many empty tasks."""
    home, database = bench.folder / "home", bench.folder / "database"
    settings = {"IMAGEWRIGHT_HOME": str(home), "IMAGEWRIGHT_FILE_ROOTS": str(home)}
    home.mkdir()
    database.mkdir()
    with prefect_server(bench.folder / "server", database, settings) as server:
        command = [sys.executable, "-m", "tests.performance.flow_overhead", str(home)]
        done = subprocess.run(command, env=dict(server.environment), capture_output=True, text=True, check=True)
    found = Overhead.model_validate_json(done.stdout.splitlines()[-1])
    bare = f"bare flow, {found.tasks} tasks"
    bench.rows.append(Row("flow that adds 1 MiB", bare, _wall(found.ours), _wall(found.bare), 1.5))


def sync(bench: Rounds) -> None:
    """Compare the bytes read for a changed and an unchanged image with those of the chips that were missing."""
    store, other = bench.fresh(), bench.folder / "other"
    for number, name in enumerate(("base", "rebuilt")):
        before = stored(store) if number else 0
        engine("add", store, bench.disks / f"{name}.qcow2", str(number))
        missing = stored(store) - before
        read = engine("sync", store, other, str(number)).stored_bytes
        bench.notes.append(f"sync of {name}: {read / 1e6:.2f} MB read for {missing / 1e6:.2f} MB of new chips")
    again = engine("sync", store, other, "1").stored_bytes
    bench.notes.append(f"sync of an unchanged image: {again / 1e6:.2f} MB read (index and manifest)")
    shutil.rmtree(other)


def _wall(seconds: float) -> Measured:
    return Measured(wall=seconds, cpu=0, rss_mib=0, grown_mib=0)


def _output(command: Sequence[str | Path]) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
