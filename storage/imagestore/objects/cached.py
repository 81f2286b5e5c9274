"""A read-through cache of a remote object store in a local folder: bounded, verified, and never a cause of failure.

Only names whose bytes never change during a store's life are cached, under the store's own id. A cached piece carries
its BLAKE3; if it does not match, the piece is dropped and read from the store again, so a bad disk never condemns the
store.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from blake3 import blake3

from catalog.errors import ObjectMissing
from catalog.files import written_aside
from catalog.privacy import make_folder
from storage.imagestore.format.parameters import NAME
from storage.imagestore.objects.wrapped import WrappedObjects
from storage.protocols import ObjectStore

IMMUTABLE = ("packs/", "index/")
DIGEST_BYTES = 32


class CachedObjects(WrappedObjects):
    """limit_bytes: of the folder; the least recently used pieces are evicted. prefixes: of the cached names."""

    def __init__(
        self, inner: ObjectStore, folder: Path, limit_bytes: int, prefixes: tuple[str, ...] = IMMUTABLE
    ) -> None:
        super().__init__(inner)
        self._folder, self._limit, self._prefixes = folder, limit_bytes, prefixes
        self._store_id: bytes | None = None
        self._lock = Lock()
        self._sizes: dict[str, int] = {}
        with suppress(OSError):  # nothing is cached without a usable folder
            make_folder(folder)
            self._sizes = self._found()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`, from the cache if it has them undamaged."""
        if not name.startswith(self._prefixes) or not self._identified():
            return self.inner.get(name, start, end)
        key = blake3(f"{self._store_id!r}\n{name}\n{start}\n{end}".encode()).hexdigest()
        data = self._cached(key)
        if data is None:
            data = self.inner.get(name, start, end)
            self._keep(key, data)
        return data

    def _identified(self) -> bool:
        """Tell whether the store has an id; before it is created, nothing is cached."""
        if self._store_id is None:
            try:
                self._store_id = blake3(self.inner.get(NAME)).digest()
            except ObjectMissing:
                return False
        return True

    def _found(self) -> dict[str, int]:
        """Return the contents of the folder, least recently used first."""
        facts: dict[str, os.stat_result] = {}
        for path in self._folder.glob("*.piece"):
            with suppress(FileNotFoundError):  # another process dropped it meanwhile
                facts[path.stem] = path.stat()
        return {key: facts[key].st_size for key in sorted(facts, key=lambda key: facts[key].st_mtime_ns)}

    def _cached(self, key: str) -> bytes | None:
        try:
            content = self._path(key).read_bytes()
        except OSError:  # dropped meanwhile, or the cache's disk fails: read the store itself
            return None
        data = content[DIGEST_BYTES:]
        if blake3(data).digest() != content[:DIGEST_BYTES]:
            self._drop(key)
            return None
        with self._lock, suppress(KeyError):
            self._sizes[key] = self._sizes.pop(key)
        with suppress(OSError):
            os.utime(self._path(key))
        return data

    def _keep(self, key: str, data: bytes) -> None:
        if len(data) > self._limit // 4:
            return
        try:
            with written_aside(self._path(key), durable=False) as file:
                file.write(blake3(data).digest() + data)
        except OSError:  # a full or broken cache must not fail a read that succeeded
            return
        with self._lock:
            self._sizes[key] = len(data) + DIGEST_BYTES
        self._shrink()

    def _shrink(self) -> None:
        while True:
            with self._lock:
                if sum(self._sizes.values()) <= self._limit:
                    return
                oldest = next(iter(self._sizes))
            self._drop(oldest)

    def _drop(self, key: str) -> None:
        with self._lock:
            self._sizes.pop(key, None)
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.piece"
