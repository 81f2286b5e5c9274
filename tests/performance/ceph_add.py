"""Adding a disk to Ceph against `qemu-img convert -n -W -m 16` alone: python -m tests.performance.ceph_add RAW [QCOW2 …].

Both run in turns on the same cluster; the least of all rounds counts, because nothing makes a run faster than it is.
"""

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from catalog.records import Image, ImageFormat, ImageStorage
from catalog.settings import Settings
from storage.ceph import CephStorage
from storage.local_files import LocalSource
from storage.protocols import Digests
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer
from tests.services.ceph import GIB, CephCluster, Store, ceph_cluster

ROUNDS = 5
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def alone(cluster: CephCluster, file: Path, image_format: ImageFormat) -> float:
    """Return the seconds that qemu-img takes into a new image."""
    cluster.rbd("create", "images/alone", "--size", str(_virtual_size(file)) + "B")
    target = f"rbd:images/alone:conf={cluster.conf}:id=admin"
    began = time.monotonic()
    subprocess.run(
        ["qemu-img", "convert", "-n", "-W", "-m", "16", "-f", image_format, "-O", "raw", file, target],
        check=True,
    )
    seconds = time.monotonic() - began
    cluster.rbd("rm", "images/alone", "--no-progress")
    return seconds


def add(storage: CephStorage, file: Path, image_format: ImageFormat) -> dict[str, float]:
    """Add a file as a flow does, digests included; return the seconds of each step."""
    image = Image(id="bench", name="bench", format=image_format, format_stored="raw", created_at=NOW, updated_at=NOW)
    at = [time.monotonic()]
    digests: Digests | None = _land(storage, file)
    at.append(time.monotonic())
    landing_id = "bench"
    if image_format != "raw":
        converted = storage.convert_landing("bench", image_format, "bench.raw", lambda _done, _total: None)
        landing_id, digests = converted.landing_id, None
    at.append(time.monotonic())
    storage.publish(landing_id, image, digests)
    storage.landing("bench").discard()
    at.append(time.monotonic())
    storage.delete("bench")
    return {"land": at[1] - at[0], "convert": at[2] - at[1], "publish": at[3] - at[2], "all": at[3] - at[0]}


def md5sum(file: Path) -> float:
    """Return the seconds that md5sum takes: nothing that computes an MD5 can be faster."""
    began = time.monotonic()
    subprocess.run(["md5sum", file], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main(files: list[Path]) -> None:
    """Print a row for each file and object store."""
    stores: tuple[Store, ...] = ("memstore", "bluestore")
    for store in stores:
        with (
            ceph_cluster(store=store, size_bytes=8 * GIB) as cluster,
            tempfile.TemporaryDirectory() as scratch,
        ):
            record = ImageStorage(name="ceph", kind="ceph", url=cluster.url(), created_at=NOW)
            storage = CephStorage(record, Settings(scratch=Path(scratch)))
            for file in files:
                print(_row(store, cluster, storage, file), flush=True)


def _row(store: str, cluster: CephCluster, storage: CephStorage, file: Path) -> str:
    image_format: ImageFormat = "qcow2" if file.suffix == ".qcow2" else "raw"
    rounds = [
        (alone(cluster, file, image_format), add(storage, file, image_format), md5sum(file)) for _ in range(ROUNDS)
    ]
    qemu, md5 = min(r[0] for r in rounds), min(r[2] for r in rounds)
    best = min((r[1] for r in rounds), key=lambda steps: steps["all"])
    steps = " ".join(f"{name} {seconds:.2f}" for name, seconds in best.items())
    ratios = f"{best['all'] / qemu:.2f} x qemu-img, {best['all'] / max(qemu, md5):.2f} x the slower of both"
    return f"{store} {file.name}: qemu-img {qemu:.2f} md5sum {md5:.2f} | {steps} | {ratios}"


def _land(storage: CephStorage, file: Path) -> Digests:
    """Read, hash and land at once, as every add does."""
    source, landing, digester = LocalSource(file), storage.landing("bench"), Digester()
    info = source.probe()
    landing.begin(info)
    with source.open(0, info) as stream:
        transfer(stream, [landing], digester, size_bytes=info.size_bytes)
    landing.finish()
    landing.close()
    return digester.result()


def _virtual_size(file: Path) -> int:
    import json

    done = subprocess.run(["qemu-img", "info", "--output=json", file], check=True, capture_output=True)
    return int(json.loads(done.stdout)["virtual-size"])


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
