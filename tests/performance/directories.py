"""The engine on a directory beside md5sum, cp, borg, restic, casync and zpaq."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.performance.engine import Measured
from tests.performance.peers import Peer, engine, md5sum, run, stored
from tests.performance.report import Figure, Row
from tests.performance.rounds import Rounds

PEERS = ("borg", "restic", "casync")
SERIES_PEERS = (
    "borg",
    "restic max",
    "casync",
    "zpaq",
)  # an archiver: no peer in the time of an add, but the smallest of them


def add(bench: Rounds, name: str) -> None:
    """Compare the add of a first and of a second build."""
    first, second = bench.disks / f"base{name}", bench.disks / f"rebuilt{name}"
    peers = [p for n in PEERS if (p := Peer(n, bench.folder / n)).there] if name != ".raw" else []
    sums = bench.median(lambda: md5sum(first), lambda: bench.first(first), *(_peer_first(p, first) for p in peers))
    _compare(bench, f"add{name}, first build", sums, peers, 1.5, {"borg": 1.7, "restic": 3.0, "casync": 3.0})
    sums = bench.median(
        lambda: md5sum(second),
        lambda: bench.second(second),
        *(_peer_second(p, first, second) for p in peers),
    )
    _compare(bench, f"add{name}, second build", sums, peers, 1.2, {"borg": 1.7})


def special(bench: Rounds, what: str, path: Path) -> None:
    """Compare the add of one file with md5sum."""
    theirs, ours = bench.median(lambda: md5sum(path), lambda: bench.first(path))
    bench.rows.append(Row(f"add {what}", "md5sum", ours, theirs, 1.15))
    bench.notes.append(f"add {what}: peak memory {ours.rss_mib} MiB, {ours.grown_mib} MiB above the imports")


def beside_cp(bench: Rounds) -> None:
    """Show one add beside md5sum and cp of the same file, with its peak memory."""
    path, target = bench.disks / "base.qcow2", bench.folder / "copied"
    ours, theirs, copied = bench.median(
        lambda: bench.first(path), lambda: md5sum(path), lambda: run(["cp", path, target])
    )
    bench.notes.append(
        f"add .qcow2 {ours.wall:.2f} s, peak memory {ours.rss_mib} MiB; md5sum {theirs.wall:.2f} s; "
        f"cp {copied.wall:.2f} s (not durable)"
    )


def sizes(bench: Rounds) -> None:
    """Compare what two images take, the second rebuilt or upgraded in place."""
    for second in ("rebuilt", "upgraded"):
        files = [bench.disks / "base.qcow2", bench.disks / f"{second}.qcow2"]
        if not files[1].exists():
            continue
        sizes = {"imagewright": bench.stored(files)}
        for name in PEERS:
            peer = Peer(name, bench.folder / name)
            if peer.there:
                peer.begin()
                for number, path in enumerate(files):
                    peer.add(path, number)
                sizes[name] = peer.stored_bytes
        line = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sizes.items())
        bench.notes.append(f"stored MB after base + {second}: {line}")


BUILDS = ("base", "rebuilt", "upgraded")


def series(bench: Rounds) -> None:
    """Compare what three builds take with each peer, and ours compacted; seconds are of all three adds."""
    files = [bench.disks / f"{name}.qcow2" for name in BUILDS]
    size = bench.stored(files)
    engine("compact", bench.folder / "store")
    compacted = stored(bench.folder / "store")
    bench.rows.append(Figure("three builds, compacted", "before", compacted / 1e6, size / 1e6, 1.0))
    bench.rows.append(Figure("three builds, compacted", "the bar", compacted / 1e6, 123, 1.0))
    _beside_peers(bench, "three builds, compacted", files, compacted, 1.2)


def _beside_peers(bench: Rounds, work: str, files: Sequence[Path], ours: int, bar: float) -> None:
    """Compare what files take with what each peer needs for them."""
    line = []
    for peer in (p for name in SERIES_PEERS if (p := Peer(name, bench.folder / "peer")).there):
        peer.begin()
        spent = sum(peer.add(path, number).cpu for number, path in enumerate(files))
        bench.rows.append(Figure(work, peer.name, ours / 1e6, peer.stored_bytes / 1e6, bar, at_least=True))
        line.append(f"{peer.name} {spent:.0f}")
    shutil.rmtree(bench.folder / "peer", ignore_errors=True)
    bench.notes.append(f"{work}: CPU s that the peers took to add them: {', '.join(line)}")


def compaction(bench: Rounds) -> None:
    """Show what three builds take before and after compaction, what it costs, and what reading costs after it."""
    store, target = bench.fresh(), bench.folder / "exported"
    for number, name in enumerate(BUILDS):
        engine("add", store, bench.disks / f"{name}.qcow2", str(number))
    before = stored(store)
    exports = [partial(engine, "export", store, target, str(number)) for number in (0, len(BUILDS) - 1)]
    old_before, new_before = bench.median(*exports)
    cost = engine("compact", store)
    old_after, new_after = bench.median(*exports)
    gigabytes, what = cost.stored_bytes / 1e9, "compaction of three builds, a GB of chips"
    bench.rows += [
        Figure(what, "the bar", cost.cpu / gigabytes, 20, 1.0, "CPU s"),
        Figure("compaction of three builds, peak memory", "the bar", cost.rss_mib, 300, 1.0, "MiB"),
        Figure("export after compaction, newest", "before", new_after.cpu, new_before.cpu, 1.0, "CPU s"),
        Figure("export after compaction, oldest", "before", old_after.cpu, old_before.cpu, 1.25, "CPU s"),
    ]
    bench.notes.append(
        f"three builds (.qcow2) {before / 1e6:.1f} MB, compacted {stored(store) / 1e6:.1f} MB: {cost.cpu:.1f} CPU s for "
        f"{cost.stored_bytes / 1e9:.2f} GB of chips ({cost.cpu / (cost.stored_bytes / 1e9):.1f} a GB), peak memory "
        f"{cost.rss_mib} MiB, {cost.grown_mib} MiB above the imports; export of the newest {new_after.cpu / new_before.cpu:.2f} x "
        f"the CPU it took before, of the oldest {old_after.cpu / old_before.cpu:.2f} x"
    )


def nine_files(bench: Rounds) -> None:
    """Show what three builds take as plain, compressed and raw files, recipes wanted; all of them are read back and compared."""
    store, target = bench.fresh(), bench.folder / "exported"
    files = [bench.disks / f"{name}{form}" for name in BUILDS for form in (".qcow2", "-compressed.qcow2", ".raw")]
    for number, path in enumerate(files):
        engine("add", store, path, str(number))
    before = stored(store)
    cost = engine("compact", store, "recipes")
    after = stored(store)
    reads: list[str] = []
    for number, path in enumerate(files):
        read = _exported(store, path, target, number)
        reads.append(f"{path.name} {read.cpu:.1f}")
    bench.rows += [
        Figure("nine files, compacted with recipes", "before", after / 1e6, before / 1e6, 1.0),
        Figure("nine files, compacted with recipes", "the bar", after / 1e6, 95, 1.0),
    ]
    _beside_peers(bench, "nine files, compacted with recipes", files, after, 2.5)
    bench.notes.append(
        f"nine files {before / 1e6:.1f} MB, compacted with recipes {after / 1e6:.1f} MB: {cost.cpu:.0f} CPU s, peak memory "
        f"{cost.rss_mib} MiB; all equal to what was added; CPU s of their exports: {', '.join(reads)}"
    )


def packed_members(bench: Rounds) -> None:
    """Show what three builds take with their packed members kept as contents; all are read back and compared."""
    store, target = bench.fresh(), bench.folder / "exported"
    files = [bench.disks / f"{name}.qcow2" for name in BUILDS]
    for number, path in enumerate(files):
        engine("add", store, path, str(number))
    before = stored(store)
    exports = [engine("export", store, target, str(number)) for number in range(len(files))]
    cost = engine("compact", store, "recipes")
    after = stored(store)
    reads = [_exported(store, path, target, number) for number, path in enumerate(files)]
    what = "three builds, members unpacked and compacted"
    bench.rows += [
        Figure(what, "before", after / 1e6, before / 1e6, 1.0),
        Figure(what, "the bar", after / 1e6, 95, 1.0),
        Figure(
            f"{what}, peak memory", "the bar", max(cost.rss_mib, *(read.rss_mib for read in reads)), 300, 1.0, "MiB"
        ),
    ]
    bench.notes.append(
        f"three builds (.qcow2) {before / 1e6:.1f} MB, members unpacked and compacted {after / 1e6:.1f} MB: {cost.cpu:.1f} CPU s, "
        f"{cost.wall:.1f} s, peak memory {cost.rss_mib} MiB; all equal to what was added; exports, CPU s "
        f"and s: {', '.join(f'{read.cpu:.1f} and {read.wall:.1f}' for read in reads)}, before "
        f"{', '.join(f'{read.cpu:.1f} and {read.wall:.1f}' for read in exports)}"
    )


def _exported(store: Path, path: Path, target: Path, number: int) -> Measured:
    """Export an image, and compare it with what was added."""
    read = engine("export", store, target, str(number))
    run(["cmp", path, target])
    return read


def export(bench: Rounds) -> None:
    """Compare the export with md5sum of the result and with the peers."""
    path, target = bench.disks / "base.qcow2", bench.folder / "exported"
    peers = [p for n in PEERS if (p := Peer(n, bench.folder / n)).there]
    bench.first(path)
    for peer in peers:
        peer.begin()
        peer.add(path, 0)
    store = bench.folder / "store"
    works = [lambda: engine("export", store, target, "0"), lambda: md5sum(target)]
    works += [partial(peer.extract, path, 0, bench.folder / "extracted") for peer in peers]
    ours, theirs, *others = bench.median(*works)
    bench.rows.append(Row("export .qcow2", "md5sum", ours, theirs, 1.0))
    bench.rows += [
        Row("export .qcow2", p.name, ours, m, 1.5, at_least=True) for p, m in zip(peers, others, strict=True)
    ]


def _compare(
    bench: Rounds,
    work: str,
    sums: Sequence[Measured],
    peers: Sequence[Peer],
    bar: float,
    bars: dict[str, float],
) -> None:
    theirs, ours, *others = sums
    bench.rows.append(Row(work, "md5sum", ours, theirs, bar))
    for peer, measured in zip(peers, others, strict=True):
        if peer.name in bars:
            bench.rows.append(Row(work, peer.name, ours, measured, bars[peer.name], at_least=True))


def _peer_first(peer: Peer, path: Path) -> Callable[[], Measured]:
    def work() -> Measured:
        peer.begin()
        return peer.add(path, 0)

    return work


def _peer_second(peer: Peer, first: Path, second: Path) -> Callable[[], Measured]:
    def work() -> Measured:
        peer.begin()
        peer.add(first, 0)
        return peer.add(second, 1)

    return work
