"""A primary storage in a directory: cached images are never written to, volumes are qcow2 overlays over them.

Layout: `cache/<image id>.<format>`, `volumes/<volume id>.qcow2`. Names of unfinished files start with a dot.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

from catalog.errors import DigestMismatch, ImagewrightError, InvalidRequest, ReplicaInUse, StorageUnavailable
from catalog.files import made_aside
from catalog.privacy import file_mode, make_folder
from catalog.records import CachedImage, Capacity, Image, ImageFormat, PrimaryKind, PrimaryStorage, Replica
from storage.protocols import CachedFile, ImageStorage, Progress, VolumeFile
from storage.replicas.copy import recorded, require_equal

READ_ONLY = 0o444
HEAD_BYTES = 4096  # a qcow2 of ours names its backing file in its first cluster, after the header
FORMATS: Mapping[str, ImageFormat] = {f".{name}": name for name in get_args(ImageFormat)}  # by suffix


class LocalPrimary:
    """A PrimaryStorage (see the protocol) in a directory of this host."""

    kind: PrimaryKind = "local"

    def __init__(self, record: PrimaryStorage) -> None:
        self.name = record.name
        self.root = Path(unquote(urlsplit(record.url).path))
        self._cache, self._volumes = self.root / "cache", self.root / "volumes"

    def check(self) -> None:
        """Make the folders and prove that they take writes. Raises StorageUnavailable."""
        with self._translated():
            self._prepare()
            probe = self.root / f".check.{os.getpid()}"
            probe.write_bytes(b"imagewright")
            probe.unlink()

    def capacity(self) -> Capacity:
        """Return the room of the disk."""
        with self._translated():
            self._prepare()
            disk = shutil.disk_usage(self.root)
        return Capacity(total_bytes=disk.total, used_bytes=disk.used, available_bytes=disk.free)

    def shares(self, source: ImageStorage) -> bool:  # noqa: ARG002  # no image storage keeps files that a machine can use
        """Return False: volumes are never made from replicas in place."""
        return False

    def cache(
        self,
        source: ImageStorage,
        image: Image,
        replica: Replica,
        scratch: Path,  # noqa: ARG002  # every stored format can back an overlay: nothing is converted
        progress: Progress,
    ) -> CachedFile:
        """Write the stored file here, sparse, verified under a temporary name, then renamed."""
        target = self._cache / f"{image.id}.{replica.format}"
        with self._translated():
            self._prepare()
            self.evict(image.id)  # an incomplete copy, or one in an earlier format
            digests = source.export(image.id, target, progress)
            try:
                require_equal(f"{target}", recorded(replica) or digests, digests)
            except DigestMismatch:
                target.unlink()
                raise
            target.chmod(file_mode() & READ_ONLY)
        return CachedFile(location=str(target), format=replica.format, size_bytes=digests.size_bytes)

    def holds(self, cached: CachedImage) -> CachedFile | None:
        """Return the file if it exists with its recorded size."""
        file = Path(cached.location)
        with suppress(OSError):
            if file.stat().st_size == cached.size_bytes and file.suffix in FORMATS:
                return CachedFile(location=str(file), format=FORMATS[file.suffix], size_bytes=cached.size_bytes)
        return None

    def cached_ids(self) -> Iterator[str]:
        """List the images that have a file in the cache."""
        with self._translated():
            names = {file.stem for file in self._files() if not file.name.startswith(".")}
        yield from sorted(names)

    def evict(self, image_id: str) -> None:
        """Delete the cached file, and any unfinished copy of it."""
        with self._translated():
            for file in self._files():
                if not file.name.lstrip(".").startswith(f"{image_id}."):
                    continue
                if users := sorted(self._users(file)):
                    raise ReplicaInUse(image_id, self.name, users, primary=True)
                file.unlink(missing_ok=True)

    def clone(self, volume_id: str, cached: CachedFile, size_bytes: int) -> VolumeFile:
        """Make an overlay over the cached file."""
        from storage.programs import qemu_img

        backing, target = Path(cached.location), self._volumes / f"{volume_id}.qcow2"
        with self._translated():
            self._prepare()
            with made_aside(target) as aside:
                qemu_img.create_overlay(backing, cached.format, aside, size_bytes)
        return VolumeFile(location=str(target), backing=str(backing), size_bytes=size_bytes)

    def delete_volume(self, location: str) -> None:
        """Delete the overlay. Raises InvalidRequest for a file that is no volume of this storage."""
        file = Path(location)
        if file.parent != self._volumes:
            raise InvalidRequest("location", location, f"a file directly in {self._volumes}")
        with self._translated():
            file.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return list(self._cache.iterdir()) if self._cache.is_dir() else []

    def _users(self, cached: Path) -> Iterator[str]:
        """Yield the volumes over a cached file, according to their own headers."""
        for volume in self._volumes.glob("*.qcow2") if self._volumes.is_dir() else ():
            if backing_of(volume) == str(cached):
                yield volume.stem

    def _prepare(self) -> None:
        for folder in (self._cache, self._volumes):
            make_folder(folder)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ImagewrightError:
            raise
        except OSError as error:
            raise StorageUnavailable(f"{self.name} (primary)", error.strerror or str(error)) from error


def backing_of(volume: Path) -> str:
    """Return the backing file named by an overlay of ours; empty for anything else."""
    from storage.formats.qcow2.header import read_header

    with volume.open("rb") as file:
        head = file.read(HEAD_BYTES)
    header = read_header(head) if head.startswith(b"QFI\xfb") else None
    if header is None or not header.backing_offset:
        return ""
    return head[header.backing_offset : header.backing_offset + header.backing_size].decode(errors="replace")
