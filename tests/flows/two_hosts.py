"""Two hosts on one catalog in PostgreSQL: each with a name and a home of its own, chosen by `at`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import ImageStorage, PrimaryStorage
from catalog.settings import load_settings
from tasks.hosts.beat import beat
from tasks.storages.register_image_storage import register_storage
from tasks.storages.register_primary_storage import register_primary
from tests.services.postgresql import new_database

NAMES = ("a", "b")


@dataclass(frozen=True)
class TwoHosts:
    """root: of both; each host's home and disk are the folders of its name below it."""

    root: Path
    url: str

    def home(self, name: str) -> Path:
        return self.root / name / "home"

    def disk(self, name: str) -> Path:
        return self.root / name / "disk"

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Be a host for the block."""
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in self.environment(name).items():
                patch.setenv(variable, value)
            yield

    def environment(self, name: str) -> dict[str, str]:
        memory = self.root / name / "memory"
        for folder in (self.home(name), self.disk(name), memory):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "IMAGEWRIGHT_HOST": name, "IMAGEWRIGHT_HOME": str(self.home(name)), "IMAGEWRIGHT_CATALOG_URL": self.url,
            "IMAGEWRIGHT_RECEIVING": str(memory), "IMAGEWRIGHT_RETRY_DELAY_S": "0.05",
            "IMAGEWRIGHT_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128", "IMAGEWRIGHT_FILE_ROOTS": str(self.root),
        }  # fmt: skip

    def beat(self, *names: str) -> None:
        """Have hosts give a sign of life."""
        for name in names or NAMES:
            with self.at(name):
                beat(load_settings())

    def image_storage(self, host: str, name: str, *, shared: bool = False, path: Path | None = None) -> ImageStorage:
        """Register a directory at a host."""
        fields = {
            "name": name, "kind": "imagestore", "url": (path or self.disk(host) / name).as_uri(), "reserve_bytes": 0,
            "shared": shared,
        }  # fmt: skip
        with self.at(host):
            return register_storage.fn(fields, "admin")

    def primary_storage(self, host: str, name: str) -> PrimaryStorage:
        """Register a primary storage at a host."""
        fields = {"name": name, "kind": "local", "url": (self.disk(host) / name).as_uri(), "shared": False}
        with self.at(host):
            return register_primary.fn(fields, "admin")

    def saved(self, storage: ImageStorage) -> ImageStorage:
        """Put a record into the catalog as it is."""
        with open_catalog(self.url) as catalog, catalog.changing(actor="admin") as change:
            change.save_image_storage(storage)
        return storage


@contextmanager
def two_hosts(root: Path) -> Iterator[TwoHosts]:
    """Yield two hosts whose homes lie below a folder."""
    yield TwoHosts(root, new_database())
