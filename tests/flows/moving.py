"""A small world for moves: image storages in folders or memory, a catalog that knows them, and images that are really there."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from catalog import open_catalog
from catalog.records import Image, ImageStorage, Replica, ReplicaStatus
from catalog.repository.catalog import Catalog
from catalog.settings import Settings, load_settings
from storage import protocols, registry
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore
from tests.services.payload import random_bytes
from tests.storage.stores import SMALL, image_store, land

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
T = TypeVar("T")


class World:
    """Storages by name, and what is on them. Wrap an object store by name to count, slow or break it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.objects: dict[str, ObjectStore] = {}
        self.settings: Settings = load_settings()
        rows = dict(registry.OPENERS) | {("imagestore", "file"): self._open}
        monkeypatch.setattr(registry, "OPENERS", rows)

    def store(self, name: str, **changes: object) -> ImageStore:
        """Register an ImageStore in a folder."""
        directory = DirectoryObjects(self.folder / name)
        directory.prepare()
        self.objects[name] = directory
        fields: dict[str, object] = {"name": name, "kind": "imagestore", "url": (self.folder / name).as_uri()}
        fields |= {"reserve_bytes": 0, "created_at": NOW}
        self.register(ImageStorage.model_validate(fields | changes))
        return self.open_store(name)

    def register(self, record: ImageStorage) -> None:
        with self.catalog() as catalog, catalog.changing("admin") as change:
            change.save_image_storage(record)

    def open_store(self, name: str) -> ImageStore:
        with self.catalog() as catalog:
            return self._open(catalog.image_storage(name))

    def _open(self, record: ImageStorage, *_access: object) -> ImageStore:
        return image_store(self.objects[record.name], SMALL, **record.model_dump())

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        with open_catalog(self.settings.catalog_address) as catalog:
            yield catalog

    def add(self, storage: protocols.ImageStorage, data: bytes, **changes: object) -> Image:
        """Put an image on a storage and into the catalog, as an add does."""
        image = image_of(data, **changes)
        digests = land(storage, image.id, data)
        replica = storage.publish(image.id, image, digests)
        with self.catalog() as catalog, catalog.changing("admin") as change:
            saved = change.save_image(image.model_copy(update={"image_storages": (storage.name,)}))
            change.save_replica(replica)
        return saved

    def add_replica(self, storage: protocols.ImageStorage, image: Image, data: bytes) -> Replica:
        """Put another replica of an image on a storage."""
        replica = storage.publish(image.id, image, land(storage, image.id, data))
        with self.catalog() as catalog, catalog.changing("admin") as change:
            change.save_replica(replica)
        return replica

    def image(self, image_id: str) -> Image:
        with self.catalog() as catalog:
            return catalog.image(image_id)

    def replicas(self, image_id: str) -> dict[str, Replica]:
        with self.catalog() as catalog:
            return {r.image_storage: r for r in catalog.replicas(image_id)}

    def wholes(self, image: Image) -> set[str]:
        """Return the storages where the catalog says that the image is whole, each proven to be so."""
        names = {name for name, r in self.replicas(image.id).items() if r.status is ReplicaStatus.READY}
        for name in names:
            data = read_all(self.open_store(name), image.id)
            assert hashlib.sha256(data).hexdigest() == image.sha256, name
        return names


def in_one_run(work: Callable[[], object]) -> None:
    """Do everything in one flow run: starting one for each of many steps would cost a second each."""
    from prefect import flow

    @flow(name="moves")
    def moves() -> None:
        work()

    moves()


def artifact(key: str) -> str:
    """Return the data of the newest artifact of that key, "" if there is none."""
    from prefect.artifacts import Artifact
    from prefect.client.schemas.objects import Artifact as Found

    found = Artifact.get(key)
    return str(found.data) if isinstance(found, Found) else ""


def image_of(data: bytes, **changes: object) -> Image:
    """Return the record of an image that holds these bytes, Ready."""
    fields: dict[str, object] = {
        "id": str(uuid4()), "name": "an image", "format": "raw", "format_stored": "raw", "status": "Ready",
        "size_bytes": len(data), "virtual_size_bytes": len(data), "md5": hashlib.md5(data).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(), "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return Image.model_validate(fields | changes)


def read_all(storage: protocols.ImageStorage, image_id: str) -> bytes:
    """Return a replica's bytes, every one proven."""
    reader = storage.open(image_id)
    return reader.read_at(0, reader.size_bytes)


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that nothing compresses."""
    return random_bytes(size, seed)


def damage(folder: Path, pattern: str = "packs/*/*", at: float = 0.5) -> Path:
    """Flip one byte of the first object that matches, that far into it; return which."""
    file = min(path for path in folder.glob(pattern) if path.is_file())
    with file.open("r+b") as opened:
        opened.seek(int(file.stat().st_size * at))
        byte = opened.read(1)[0]
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte ^ 0xFF]))
    return file
