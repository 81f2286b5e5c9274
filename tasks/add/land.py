"""Move the bytes, once: from the source into every storage that still lacks them, measured on the way."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from catalog.errors import ChecksumMismatch, ImagewrightError, SourceChanged
from catalog.records import Image
from catalog.rules.images.checksums import Checksum
from catalog.settings import Settings
from storage.protocols import ImageStorage, Source, SourceInfo
from storage.transfer.arrival import Arrival, Arrived
from storage.transfer.bandwidth import pace_into
from storage.transfer.receive_buffer import ReceiveBuffer, place
from tasks.add.reservation import GrowingReservation, open_lacking
from tasks.add.results import Landed, LandedOn
from tasks.runtime.resources import open_image_source, open_resources
from tasks.runtime.retries import is_away, once, persist
from tasks.runtime.runs.progress import Meter, progress
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog


@task(task_run_name="land {image.name}", **once("it goes on by itself, with a budget that progress refills"))
def land(
    image: Image,
    url: str,
    info: SourceInfo,
    expected: Checksum | None = None,
    credentials: str | None = None,
    *,
    accept_unrecognized: bool = False,
) -> Landed:
    """Return the file as it arrived. What is kept survives the death of this process; every byte is fetched once.

    expected: of the file as its server has it; of a packed one it may as well be that of the bytes unpacked.
    credentials: name of a secret, resolved here: its value is no parameter that Prefect would keep.
    accept_unrecognized: people insist that it is a disk, whatever else it looks like.
    Raises ChecksumMismatch, UnsafeImage, CapacityExceeded, Withdrawn; a broken transfer is gone on with here, with a
    budget of retries that progress refills, before TransferInterrupted is raised.
    """
    began = time.monotonic()
    algorithm = expected.algorithm if expected else None
    with open_resources() as (settings, catalog):
        source = open_image_source(url, credentials, settings, packed_algorithm=algorithm)
        storages = open_lacking(catalog, settings, image)
        arrival = _arrival(catalog, settings, image, storages, algorithm, insisted=accept_unrecognized)
        with _closing(arrival), progress(f"add-{image.id}", f"add {image.name}") as meter:
            start, remarks = _take_up(arrival, info, meter)
            room = GrowingReservation(meter, image, storages)
            arrived, read = _pull(arrival, source, info, settings, room)
    checksum = _checked(arrived, source.packed_checksum, expected, read)
    return _landed(image, arrived, read, checksum).model_copy(
        update={
            "expected": str(expected) if expected else None,
            "began_at_byte": start,
            "remarks": (*remarks, *source.remarks, *_changed(info, read)),
            "seconds": time.monotonic() - began,
        }
    )


def _arrival(
    catalog: "Catalog",
    settings: Settings,
    image: Image,
    storages: Sequence[ImageStorage],
    algorithm: str | None,
    *,
    insisted: bool,
) -> Arrival:
    landings = {storage.name: storage.landing(image.id) for storage in storages}
    pace = pace_into(catalog, tuple(landings), settings.bandwidth_bytes_s)
    return Arrival(
        landings,
        settings.max_virtual_size,
        (algorithm,) if algorithm else (),
        pace,
        ReceiveBuffer(place(settings, image.id)),
        declared=image.format,
        accept_unrecognized=insisted,
    )


@contextmanager
def _closing(arrival: Arrival) -> Iterator[None]:
    """Close at the end; where the add failed, that is what is told, not that the storage failed once more."""
    try:
        yield
    except BaseException:
        with suppress(ImagewrightError):
            arrival.close()
        raise
    arrival.close()


def _take_up(arrival: Arrival, info: SourceInfo, meter: Meter) -> tuple[int, tuple[str, ...]]:
    """Go on from what was kept of this source; return the offset to read from, and what people should know of it."""
    with meter.following(lambda: arrival.kept, info.size_bytes):
        start = arrival.take_up(info)  # reads all that was kept: minutes, for a large image
    log = run_logger()
    if start:
        log.info("resuming at byte %s", start)
    remarks = tuple(
        f"{name}: the source changed since the add began (was {described(before)}); it was started over"
        for name, before in arrival.begun_otherwise.items()
    )
    for remark in remarks:
        log.warning(remark)
    return start, remarks


def _changed(info: SourceInfo, read: SourceInfo) -> tuple[str, ...]:
    if read.same_file(info):
        return ()
    return (f"the source changed while it was read (was {described(info)}); it was started over",)


def described(info: SourceInfo) -> str:
    """Say which state of a source is meant."""
    return f"{info.size_bytes} bytes, {info.etag or info.last_modified or 'no validator'}"


def _pull(
    arrival: Arrival, source: Source, info: SourceInfo, settings: Settings, room: GrowingReservation
) -> tuple[Arrived, SourceInfo]:
    """Pull until the end of the source is reached; return what arrived, and what was in fact read, should the source have changed."""
    reading = info

    def attempt() -> None:
        nonlocal reading
        try:
            if arrival.kept and not reading.resumable:
                arrival.start_over(reading)
            arrival.pull(source, reading, room)
        except SourceChanged:  # what was kept is of a file that is no more
            reading = source.probe()
            arrival.start_over(reading)
            raise

    persist(
        attempt,
        lambda: arrival.kept,
        settings.retries,
        settings.retry_delay_s,
        run_logger().warning,
        min_pace_bytes_s=settings.min_pace_bytes_s,
    )
    arrived = arrival.finish()
    room.tell(arrived.digests.size_bytes, reading.size_bytes)
    return arrived, reading


def _checked(arrived: Arrived, packed: str | None, expected: Checksum | None, info: SourceInfo) -> str:
    """Return the checksum that was measured, of the algorithm expected. Raises ChecksumMismatch.

    packed: of the file before it was unpacked, if it was.
    """
    if expected is None:
        return f"sha256:{arrived.checksums['sha256']}"
    unpacked = f"{expected.algorithm}:{arrived.checksums[expected.algorithm]}"
    if str(expected) in (packed, unpacked):
        return str(expected)
    raise ChecksumMismatch(info.url, str(expected), packed or unpacked)


def _landed(image: Image, arrived: Arrived, info: SourceInfo, checksum: str) -> Landed:
    held = [
        LandedOn(image_storage=name, landing_id=image.id, stored_bytes=file.stored_bytes)
        for name, file in arrived.stored.items()
    ]
    failed = [
        LandedOn(image_storage=name, landing_id=image.id, error=str(error), away=is_away(error))
        for name, error in arrived.failed.items()
    ]
    return Landed(
        source=info, digests=arrived.digests, checksum=checksum, verdict=arrived.verdict, storages=(*held, *failed)
    )
