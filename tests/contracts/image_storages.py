"""The image storages that the suite runs against: each row opens an empty one below a folder of the test's own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from storage.protocols import ImageStorage
from tests.storage.stores import image_store, opener


@contextmanager
def _memory(place: Path) -> Iterator[ImageStorage]:
    yield image_store(opener("memory", place)())


@contextmanager
def _directory(place: Path) -> Iterator[ImageStorage]:
    yield image_store(opener("directory", place)())


@contextmanager
def _s3(place: Path) -> Iterator[ImageStorage]:
    yield image_store(opener("s3", place)())


IMAGE_STORAGES: dict[str, Callable[[Path], AbstractContextManager[ImageStorage]]] = {
    "memory": _memory,
    "directory": _directory,
    "s3": _s3,
}
