"""One measured run of the engine in a process of its own: `python -m tests.performance.engine VERB …`, prints JSON.

Time is taken from the opened store to the published image, without the interpreter's start and imports.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import oslo_utils.imageutils.format_inspector  # noqa: F401  # else the first image would wait for it

from catalog.records import ImageFormat, Record
from catalog.settings import Settings
from catalog.units import utc_now
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.local_files import LocalSource
from storage.protocols import ObjectStore, Source
from storage.replicas.sync import ship
from storage.sources import open_source
from storage.transfer.arrival import Arrival
from storage.transfer.receive_buffer import ReceiveBuffer, place
from tests.storage.imagestore.counted import CountingObjects
from tests.storage.stores import image, record


class Measured(Record):
    """wall and cpu in seconds, rss_mib the peak, grown_mib what the run added to it."""

    wall: float
    cpu: float
    rss_mib: int
    grown_mib: int
    stored_bytes: int = 0


def open_store(place: str) -> ObjectStore:
    """Open a directory, or the S3 store whose address is in a JSON file."""
    if place.endswith(".json"):
        from storage.imagestore.objects.s3 import S3Objects
        from storage.imagestore.objects.s3_connection import S3Address, S3Connection

        remote = S3Objects(S3Connection(S3Address.model_validate_json(Path(place).read_text())))
        remote.size("connect")  # s3fs is imported and logged in when the time begins, as it is for its own puts
        return remote
    objects = DirectoryObjects(Path(place))
    objects.prepare()
    return objects


def add(objects: ObjectStore, source: Source, image_id: str) -> int:
    """Add a file as the flows do: digests, verdict, chips, all durable. Returns the bytes newly stored."""
    storage = ImageStore(record(), objects)
    arrival = Arrival(
        {storage.name: storage.landing(image_id)},
        1 << 44,
        received=ReceiveBuffer(place(Settings(), image_id)),
    )
    info = source.probe()
    arrival.take_up(info)
    arrival.pull(source, info, lambda _done, _all: None)
    arrived = arrival.finish()
    arrival.close()
    kind: ImageFormat = "qcow2" if info.url.endswith(".qcow2") else "raw"
    described = image(image_id).model_copy(update={"format": kind, "format_stored": kind})
    return storage.publish(image_id, described, arrived.digests).stored_bytes


def export(objects: ObjectStore, image_id: str, target: Path) -> int:
    """Export an image."""
    ImageStore(record(), objects).export(image_id, target, lambda _done, _all: None)
    return 0


def cpu_seconds() -> float:
    """Return the processor time that this process and the programs it ran have taken."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def peak_kib() -> int:
    """Return the most memory that this process has had; `getrusage` begins with what its parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def measured(work: Callable[[], int]) -> Measured:
    """Run and measure; processor time is that of the programs that it runs, too."""
    before, spent, began = peak_kib(), cpu_seconds(), time.perf_counter()
    stored = work()
    wall, cpu, after = time.perf_counter() - began, cpu_seconds() - spent, peak_kib()
    return Measured(wall=wall, cpu=cpu, rss_mib=after >> 10, grown_mib=(after - before) >> 10, stored_bytes=stored)


def sync(objects: ObjectStore, target: ObjectStore, image_id: str) -> int:
    """Send an image to another store; return the bytes read from the first one."""
    counted = CountingObjects(objects)
    (sent,) = ship(ImageStore(record(), counted), ImageStore(record(), target), [image(image_id)], "sync")
    if sent.error:
        raise RuntimeError(sent.error)
    return counted.read_bytes


def compact(objects: ObjectStore, *, recipes: bool) -> int:
    """Compact all images, however new; return the plain bytes read of them."""
    return (
        ImageStore(record(recipes=recipes), objects)
        .compact(utc_now() + timedelta(days=1), "compaction-bench")
        .bytes_read
    )


def main(verb: str, place: str, name: str = "", image_id: str = "") -> Measured:
    """Do one verb: add PLACE FILE-OR-URL ID, export PLACE TARGET ID, sync PLACE OTHER-PLACE ID, compact PLACE [recipes]."""
    objects = open_store(place)
    if verb == "compact":
        return measured(lambda: compact(objects, recipes=name == "recipes"))
    if verb == "add":
        source = (
            open_source(name, Settings(allowed_networks=("127.0.0.0/8",))) if "://" in name else LocalSource(Path(name))
        )
        return measured(lambda: add(objects, source, image_id))
    if verb == "sync":
        other = open_store(name)
        return measured(lambda: sync(objects, other, image_id))
    return measured(lambda: export(objects, image_id, Path(name)))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:]).model_dump()))
