"""Object stores and image storages for tests, by name, each opened on a place of its own."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from catalog.records import Image, ImageStorage, Replica
from storage import protocols
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format.parameters import Parameters
from storage.imagestore.objects.cached import CachedObjects
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.objects.throttled import ThrottledObjects
from storage.imagestore.storage import ImageStore
from storage.protocols import Digests, ObjectStore, SourceInfo
from storage.transfer.bandwidth import SteadyPace
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer
from tests.faults.faulty_objects import FaultyObjects
from tests.storage.imagestore.counted import CountingObjects
from tests.storage.memory_objects import MemoryObjects

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SMALL = Parameters(min_bytes=1024, average_bytes=4096, max_bytes=16384, cell_bytes=4096, pack_bytes=64 << 10)
OBJECT_STORES = ("memory", "directory", "faulty", "counting", "throttled", "cached", "s3", "site")


def opener(kind: str, place: Path) -> Callable[[], ObjectStore]:
    """Return a function that opens one and the same object store each time."""
    if kind == "memory":
        memory = MemoryObjects()
        return lambda: memory
    if kind == "s3":
        from tests.services.s3 import new_objects

        return new_objects(place)
    if kind == "site":
        from tests.services import site

        return site.new_objects(place)
    return lambda: _local(kind, place)


def _local(kind: str, place: Path) -> ObjectStore:
    directory = DirectoryObjects(place / "store")
    directory.prepare()
    wrappers: dict[str, Callable[[], ObjectStore]] = {
        "directory": lambda: directory,
        "faulty": lambda: FaultyObjects(directory),
        "counting": lambda: CountingObjects(directory),
        "throttled": lambda: ThrottledObjects(directory, SteadyPace(1 << 34)),
        "cached": lambda: CachedObjects(directory, place / "cache", 8 << 20),
    }
    return wrappers[kind]()


def record(url: str = "file:///nowhere", **changes: object) -> ImageStorage:
    fields = {"name": "images", "kind": "imagestore", "url": url, "reserve_bytes": 0, "created_at": NOW}
    return ImageStorage.model_validate(fields | changes)


def image_store(objects: ObjectStore, parameters: Parameters = SMALL, **changes: object) -> ImageStore:
    return ImageStore(record().model_copy(update=changes), objects, ChipStore(objects, parameters))


def image(image_id: str | None = None) -> Image:
    return Image(
        id=image_id or str(uuid4()),
        name="an image",
        format="raw",
        format_stored="raw",
        created_at=NOW,
        updated_at=NOW,
    )


class Bytes:
    """A SourceStream over bytes in memory. step: most bytes of one read; stop: raise `failure` there."""

    def __init__(self, data: bytes, step: int = 1 << 20, stop: int | None = None) -> None:
        self.data, self.step, self.stop, self.at = memoryview(data), step, stop, 0

    def readinto(self, buffer: memoryview) -> int:
        if self.stop is not None and self.at >= self.stop:
            raise ConnectionResetError
        part = self.data[self.at : self.at + min(self.step, len(buffer))]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)


def land(storage: protocols.ImageStorage, landing_id: str, data: bytes) -> Digests:
    """Put a whole file into a landing and finish it."""
    landing = storage.landing(landing_id)
    landing.begin(SourceInfo(url="test:", size_bytes=len(data)))
    digester = Digester()
    transfer(Bytes(data), [landing], digester)
    landing.finish()
    landing.close()
    return digester.result()


def add(storage: protocols.ImageStorage, data: bytes, image_id: str | None = None) -> Replica:
    """Add a file as an image."""
    landing_id = str(uuid4())
    digests = land(storage, landing_id, data)
    return storage.publish(landing_id, image(image_id), digests)
