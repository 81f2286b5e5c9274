"""Move the bytes, once: from the source into every storage that still lacks them, measured on the way."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect import get_run_logger, task

from catalog.errors import ChecksumMismatch, ImagewrightError, SourceChanged
from catalog.records import Image
from catalog.rules.checksums import Checksum
from catalog.settings import Settings
from storage.arrival import Arrival, Arrived
from storage.protocols import Progress, Source, SourceInfo
from storage.received import Received, place
from tasks.landed import Landed, LandedOn
from tasks.pacing import pace_into
from tasks.progress import progress
from tasks.resources import open_image_source, open_resources
from tasks.retries import persist
from tasks.room import GrowingRoom, open_lacking
from tasks.withdrawal import StopsWhenWithdrawn


@task(task_run_name="land {image.name}")
def land(
    image: Image, url: str, info: SourceInfo, expected: Checksum | None = None, credentials: str | None = None
) -> Landed:
    """Return the file as it arrived. What is kept survives the death of this process; every byte is fetched once.

    expected: of the file as its server has it; of a packed one it may as well be that of the bytes unpacked.
    credentials: name of a secret, resolved here: its value is no parameter that Prefect would keep.
    Raises ChecksumMismatch, UnsafeImage, CapacityExceeded, Withdrawn; a broken transfer is gone on with here, with a
    budget of retries that progress refills, before TransferInterrupted is raised.
    """
    began = time.monotonic()
    algorithm = expected.algorithm if expected else None
    with open_resources() as (settings, catalog):
        source = open_image_source(url, credentials, settings, packed_algorithm=algorithm)
        storages = open_lacking(catalog, settings, image)
        landings = {storage.name: storage.landing(image.id) for storage in storages}
        extra = (algorithm,) if algorithm else ()
        pace = pace_into(catalog, tuple(landings), settings.bandwidth_bytes_s)
        received = Received(place(settings, image.id))
        arrival = Arrival(landings, settings.max_virtual_size, extra, pace, received)
        with _closing(arrival), progress(f"add-{image.id}", f"add {image.name}") as meter:
            with meter.following(lambda: arrival.kept, info.size_bytes):
                start = arrival.take_up(info)  # reads all that was kept: minutes, for a large image
            remarks = _remarks(arrival, start)
            room = GrowingRoom(StopsWhenWithdrawn(meter, image.id), image, storages)
            read = _fetch(arrival, source, info, settings, room)
            arrived = arrival.finish()
            room.tell(arrived.digests.size_bytes, read.size_bytes)
    checksum = _checked(arrived, source.packed_checksum, expected, read)
    if not read.same_file(info):
        remarks += (f"the source changed while it was read (was {described(info)}); it was started over",)
    return _landed(image, arrived, checksum, read).model_copy(
        update={"expected": str(expected) if expected else None, "remarks": remarks,
                "began_at_byte": start, "seconds": time.monotonic() - began}
    )  # fmt: skip


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


def _remarks(arrival: Arrival, start: int) -> tuple[str, ...]:
    """Say in the log where the transfer takes up, and return what people should know of it."""
    log = get_run_logger()
    if start:
        log.info("resuming at byte %s", start)
    remarks = tuple(
        f"{name}: the source changed since the add began (was {described(before)}); it was started over"
        for name, before in arrival.begun_otherwise.items()
    )
    for remark in remarks:
        log.warning(remark)
    return remarks


def described(info: SourceInfo) -> str:
    """Say which state of a source is meant."""
    return f"{info.size_bytes} bytes, {info.etag or info.last_modified or 'no validator'}"


def _fetch(
    arrival: Arrival, source: Source, info: SourceInfo, settings: Settings, meter: Progress
) -> SourceInfo:
    """Pull until the end of the source is reached; return what was in fact read, should the source have changed."""
    reading = info

    def attempt() -> None:
        nonlocal reading
        try:
            if arrival.kept and not reading.resumable:
                arrival.start_over(reading)
            arrival.pull(source, reading, meter)
        except SourceChanged:  # what was kept is of a file that is no more
            reading = source.probe()
            arrival.start_over(reading)
            raise

    persist(
        attempt, lambda: arrival.kept, settings.retries, settings.retry_delay_s, get_run_logger().warning,
        min_pace_bytes_s=settings.min_pace_bytes_s,
    )  # fmt: skip
    return reading


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


def _landed(image: Image, arrived: Arrived, checksum: str, info: SourceInfo) -> Landed:
    held = tuple(
        LandedOn(image_storage=name, landing_id=image.id, stored_bytes=file.stored_bytes)
        for name, file in arrived.stored.items()
    )
    failed = tuple(
        LandedOn(image_storage=name, landing_id=image.id, error=str(error))
        for name, error in arrived.failed.items()
    )
    return Landed(
        source=info,
        digests=arrived.digests,
        checksum=checksum,
        verdict=arrived.verdict,
        storages=held + failed,
    )
