"""`make bench`: the engine side by side with md5sum, borg, restic, casync, zpaq and s3fs on the same bytes.

`python -m tests.performance.bench [--folder DIR] [--disks DIR] [--runs N]`. Runs are paired: one after the other, then
again; medians are shown, with CPU seconds beside, which say more on a busy machine. Writes RESULTS.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.performance import directories, downloads, servers, throughput
from tests.performance.peers import run
from tests.performance.report import HERE, disk_speed, machine, write_results
from tests.performance.rounds import GIB, Rounds


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None, help="scratch folder; default: a temporary one")
    parser.add_argument(
        "--disks", type=Path, default=Path(".cache/bench-disks"), help="where the Debian disks are built"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--only", default="", help="names of parts, such as nine_files,s3: printed, and nothing is written"
    )
    options = parser.parse_args()
    if not (options.disks / "rebuilt-compressed.qcow2").exists():
        run(["bash", HERE / "build_disks.sh", options.disks])
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as scratch:
        bench = Rounds(Path(scratch), options.disks.absolute(), options.runs)
        before, speed = machine(), disk_speed(bench.folder)
        only = set(options.only.split(",")) - {""}
        for section in _sections(bench):
            if only and section.func.__name__ not in only:
                continue
            section()
            # a run takes minutes: what was measured is kept
            target = bench.folder / "parts.md" if only else HERE / "RESULTS.md"
            write_results(target, bench.rows, bench.notes, bench.runs, before, speed)
        sys.stdout.write(target.read_text())


def _sections(bench: Rounds) -> Iterator[partial[None]]:
    """Yield the parts of the table."""
    for name in (".qcow2", "-compressed.qcow2", ".raw"):
        yield partial(directories.add, bench, name)
    yield partial(directories.beside_cp, bench)
    yield partial(directories.sizes, bench)
    yield partial(directories.series, bench)
    yield partial(directories.compaction, bench)
    yield partial(directories.nine_files, bench)
    yield partial(directories.packed_members, bench)
    yield partial(directories.export, bench)
    yield partial(servers.s3, bench)
    yield partial(servers.s3_apart, bench)
    yield partial(servers.http, bench)
    yield partial(servers.flow, bench)
    yield partial(throughput.rows, bench)
    yield partial(downloads.rows, bench)
    yield partial(servers.sync, bench)
    noise, sparse = bench.folder / "random", bench.folder / "sparse"
    run(["dd", "if=/dev/urandom", f"of={noise}", "bs=4M", "count=256"])
    yield partial(directories.special, bench, "1 GiB of random bytes", noise)
    noise.unlink()
    with sparse.open("wb") as file:
        file.truncate(8 * GIB)
    yield partial(directories.special, bench, "a sparse 8 GiB", sparse)


if __name__ == "__main__":
    main()
