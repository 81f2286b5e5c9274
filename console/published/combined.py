"""Compute the SHA-256 over a metadata archive followed by its disk, by which Incus identifies an image, once each.

It takes reading gigabytes of the disk, in a single background thread, so no request waits: an image is offered once its
sum is known. Sums are stored below the home, by the digests of both parts, and recomputed if lost.
"""

import logging
import re
import time
from collections.abc import Sequence
from contextvars import copy_context
from hashlib import sha256
from pathlib import Path
from threading import Lock, Thread

from catalog.errors import ImagewrightError, ObjectMissing
from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import Replica
from catalog.rules.promotion.tree import Handed
from console.transfers.replica_contents import OpenReaders, whole_file

BLOCK_BYTES = 4 << 20
AGAIN_S, MOST_KEPT = 600.0, 10_000
FOLDER = "incus"
_HEX = re.compile(r"[0-9a-f]{64}")
log = logging.getLogger("imagewright")


class CombinedSums:
    """Known sums, and a thread that computes requested ones."""

    def __init__(self, home: Path, readers: OpenReaders) -> None:
        self._folder, self._readers, self._lock = home / FOLDER, readers, Lock()
        self._known: dict[str, str] = {}
        self._wanted: dict[str, tuple[bytes, Handed, Sequence[Replica]]] = {}
        self._failed: dict[str, float] = {}
        self._works = False

    def of(self, metadata: bytes, handed: Handed, replicas: Sequence[Replica]) -> str | None:
        """Return the sum, or None and start computing it."""
        name = sha256(sha256(metadata).digest() + bytes.fromhex(handed.sha256)).hexdigest()
        found = self._known.get(name) or self._kept(name)
        if found is None:
            self._want(name, metadata, handed, replicas)
        else:
            self._known[name] = found
        return found

    def _kept(self, name: str) -> str | None:
        try:
            text = (self._folder / name).read_text("ascii", "replace")
        except OSError:
            return None
        return text if _HEX.fullmatch(text) else None

    def _want(self, name: str, metadata: bytes, handed: Handed, replicas: Sequence[Replica]) -> None:
        with self._lock:
            if time.monotonic() - self._failed.get(name, -AGAIN_S) < AGAIN_S:
                return
            self._wanted.setdefault(name, (metadata, handed, replicas))
            if not self._works:
                self._works = True
                Thread(target=copy_context().run, args=(self._work,), daemon=True, name="combined-sums").start()

    def _work(self) -> None:
        try:
            while (one := self._next()) is not None:
                self._make(*one)
        finally:
            self._works = False

    def _make(self, name: str, asked: tuple[bytes, Handed, Sequence[Replica]]) -> None:
        self._failed[name] = time.monotonic()
        try:
            self._keep(name, self._made(*asked))
            del self._failed[name]
        except (ImagewrightError, OSError) as error:  # go on with the others; this one is retried later
            log.warning("no sum for Incus of image %s: %s", asked[1].image.id, error)
        finally:
            with self._lock:
                del self._wanted[name]

    def _next(self) -> tuple[str, tuple[bytes, Handed, Sequence[Replica]]] | None:
        with self._lock:
            found = next(iter(self._wanted.items()), None)
            self._works = found is not None
            return found

    def _made(self, metadata: bytes, handed: Handed, replicas: Sequence[Replica]) -> str:
        digest, offset = sha256(metadata), 0
        with whole_file(self._readers, replicas) as file:
            while offset < handed.size_bytes:
                data = file.read_at(offset, min(BLOCK_BYTES, handed.size_bytes - offset))
                if not data:
                    raise ObjectMissing(f"byte {offset} of {handed.name}")
                digest.update(data)
                offset += len(data)
        return digest.hexdigest()

    def _keep(self, name: str, made: str) -> None:
        self._known[name] = made
        make_folder(self._folder)
        with written_aside(self._folder / name) as file:
            file.write(made.encode())
        kept = list(self._folder.iterdir())
        if len(kept) > MOST_KEPT:  # sums of images long gone, or with other metadata since
            for old in sorted(kept, key=lambda one: one.stat().st_mtime)[: MOST_KEPT // 2]:
                old.unlink(missing_ok=True)
