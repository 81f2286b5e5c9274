"""An image storage in a Ceph pool: one protected RBD image per image, ready to be cloned."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from catalog.errors import CapacityExceeded, DigestMismatch, ImageNotFound
from catalog.records import (
    Capacity,
    Image,
    ImageFormat,
    ImageStorage,
    ReclaimReport,
    Replica,
    StorageKind,
    VerifyReport,
)
from catalog.rules.storages.kinds import KINDS
from catalog.settings import Settings
from catalog.units import utc_now
from storage.abilities import Unreadable
from storage.ceph.client import capacity
from storage.ceph.client.address import parse_address
from storage.ceph.client.connection import Connection, connect, translated
from storage.ceph.conversion import copied
from storage.ceph.layout import (
    DIGESTS_KEY,
    FINISHED_KEY,
    IMAGE_KEY,
    LANDING,
    OBJECT_BYTES,
    PUBLISHED,
    REPLICA_KEY,
    ROW_BYTES,
    SNAPSHOT,
    SOURCE_KEY,
    Finished,
    image_id_of,
    landing_id_of,
    published_name,
)
from storage.ceph.rbd_images import clones, has_snapshot, opened, read_record, read_undamaged, remove
from storage.ceph.reading import export
from storage.ceph.reading.reader import CephReader, Content, open_content
from storage.ceph.rows import read_rows
from storage.ceph.upkeep import verify as verification
from storage.ceph.writing import publish as publication
from storage.ceph.writing.landing import CephLanding
from storage.protocols import Converted, Digests, LandingInfo, Progress, SourceInfo, StoredImage

CHECK_OBJECT = "imagewright_check"


class CephStorage:
    """An ImageStorage (see the protocol) in a pool. Every call joins and leaves the cluster (15 ms)."""

    kind: StorageKind = "ceph"

    def __init__(self, record: ImageStorage, settings: Settings, credentials: str | None = None) -> None:
        """Connect to nothing yet. credentials: a keyring's text or a bare key. Raises InvalidRequest for the URL."""
        self.name, self.address = record.name, parse_address(record.url)
        self._record, self._credentials = record, credentials
        self._wait_s = settings.read_timeout_s

    def stored_format(self, added: ImageFormat) -> ImageFormat:
        """Return the format in which a file of format `added` is stored: a guest has to boot from a clone of it."""
        return KINDS[self.kind].stored_as[added]

    def check(self) -> None:
        """Prove within 5 s that the pool takes our writes. Raises StorageUnavailable, StorageRefused."""
        # a full pool answers and passes this check; its capacity tells the rest
        with (
            suppress(CapacityExceeded),
            self._joined(quick=True) as connection,
            translated(self.name, "writing to the pool"),
        ):
            connection.pool.write_full(CHECK_OBJECT, b"")

    def cluster_id(self) -> str:
        """Return the id of the pool's cluster."""
        with self._joined() as connection, translated(self.name, "asking for the cluster's id"):
            return connection.cluster.get_fsid()

    def capacity(self) -> Capacity:
        """Return the room available now, within the pool's quota and the configured limit."""
        with self._joined() as connection:
            room = capacity.pool_room(connection, self.address.pool)
            stored = self._stored_bytes(connection) if self._record.capacity_bytes is not None else 0
        return capacity.capacity(room, stored, self._record.capacity_bytes, self._record.reserve_bytes, self.name)

    def landing(self, landing_id: str) -> CephLanding:
        """Open a landing, new or kept."""
        return CephLanding(self._connect, self.name, landing_id, self._wait_s)

    def landings(self) -> Iterator[LandingInfo]:
        """List unpublished landings."""
        with self._joined() as connection:
            for name in self._names(connection, LANDING):
                with opened(connection, name) as image:
                    if image is not None:
                        kept = read_rows(connection, image.id(), -(-image.size() // OBJECT_BYTES))
                        yield LandingInfo(
                            landing_id=landing_id_of(name),
                            kept_bytes=min(image.size(), len(kept) // ROW_BYTES * OBJECT_BYTES),
                            source=read_undamaged(image, SOURCE_KEY, SourceInfo),
                        )

    def publish(self, landing_id: str, image: Image, digests: Digests | None) -> Replica:
        """Name a finished landing as the image's replica. Safe to repeat; the landing is gone afterwards.

        digests: of the stored file; None for one that `convert_landing` made, which is measured at its first export or
        full verification. Raises DigestMismatch if the landing's size differs.
        """
        stored = self.stored_format(image.format)
        with self._joined() as connection:
            return publication.publish(connection, self.address.pool, landing_id, image, stored, digests, utc_now())

    def replace(self, landing_id: str, image: Image, digests: Digests | None) -> Replica:
        """Publish a finished landing in place of the existing replica. Raises ReplicaInUse if that has clones."""
        self.delete(image.id)
        return self.publish(landing_id, image, digests)

    def convert_landing(
        self, landing_id: str, from_format: ImageFormat, target_landing_id: str, progress: Progress
    ) -> Converted:
        """Convert a finished, inspected qcow2 or VMDK landing to raw: in place if unfolded, else into another."""
        source, target = self.landing(landing_id), self.landing(target_landing_id)
        with closing(source), closing(target):
            if source.is_unfolded():
                from storage.ceph.conversion import in_place

                return copied.converted(source, in_place.convert(source, self._wait_s, progress))
            if source.finished() is not None:
                copied.convert(source, from_format, target, progress)
            return copied.converted(target, target.finished())

    def complete_publication(self, image_id: str) -> None:
        """Finish a publication that a death interrupted past its point of no return."""
        with self._joined() as connection:
            publication.complete(connection, image_id)

    def reclaim(self, keep_landings: AbstractSet[str] | None = None, *, plan_only: bool = False) -> ReclaimReport:
        """Free what no image or landing needs; landings not in `keep_landings` are discarded. None keeps all."""
        from storage.ceph.upkeep import reclaim

        with self._joined() as connection:
            return reclaim.reclaim(connection, keep_landings, plan_only=plan_only)

    def contains(self, image_id: str) -> bool:
        """Tell whether a published replica exists (not whether it is undamaged)."""
        with self._joined() as connection, opened(connection, published_name(image_id)) as image:
            return image is not None and has_snapshot(image)

    def stored(self, image_id: str) -> StoredImage:
        """Return what the pool says about an image. Raises ImageNotFound, DigestMismatch where that is damaged."""
        with self._joined() as connection:
            described = _described(connection, published_name(image_id))
        if described is None:
            raise ImageNotFound(image_id, f"on image storage {self.name!r}")
        if isinstance(described, Exception):
            raise described
        return described

    def images(self) -> Iterator[StoredImage]:
        """List published images by the pool's own description. Raises DigestMismatch if a description is damaged."""
        for _, found in self.described_images():
            if isinstance(found, Exception):
                raise found
            yield found

    def described_images(self) -> Iterator[tuple[str, StoredImage | Unreadable]]:
        """List published images by id; a damaged description is replaced by the reason."""
        with self._joined() as connection:
            for name in self._names(connection, PUBLISHED):
                if (described := _described(connection, name)) is not None:
                    yield image_id_of(name), described

    def open(self, image_id: str) -> CephReader:
        """Open a replica's snapshot for reading. Raises ImageNotFound."""
        return CephReader(self._content(image_id), self._wait_s)

    def export(self, image_id: str, target: Path, progress: Progress) -> Digests:
        """Write the complete file, sparse and verified, to `target` (under a temporary name, then renamed)."""
        with closing(self._content(image_id)) as content:
            expected = read_record(content.image, DIGESTS_KEY, Digests)
            digests = export.export(content, expected, target, progress, self._wait_s)
        if expected is None:
            self._record_digests(image_id, digests)
        return digests

    def measured(self, image_id: str) -> Digests | None:
        """Return the digests of the stored file if it was measured. Raises ImageNotFound."""
        with self._joined() as connection, opened(connection, published_name(image_id)) as image:
            if image is None:
                raise ImageNotFound(image_id)
            return read_record(image, DIGESTS_KEY, Digests)

    def delete(self, image_id: str) -> None:
        """Delete the replica. Raises ReplicaInUse, naming its clones and changing nothing, while there are any."""
        with self._joined() as connection:
            remove(connection, published_name(image_id), image_id)

    def clones(self, image_id: str) -> tuple[str, ...]:
        """Return pool/image of every clone of a replica. Raises ImageNotFound."""
        with self._joined() as connection, opened(connection, published_name(image_id)) as image:
            if image is None:
                raise ImageNotFound(image_id)
            with translated(self.name, "listing clones", image_id):
                return clones(image)

    def verify(
        self,
        image_id: str,
        *,
        first_object: int = 0,
        budget_bytes: int | None = None,
        bytes_per_second: int | None = None,
    ) -> tuple[VerifyReport, int | None]:
        """Prove a replica by reading it; return what was found and the object to resume at, None at the end.

        Failed items are damaged; their subject is `IMAGE_ID@OFFSET`. A file that was never measured is measured on the
        way if all of it is read. Raises ImageNotFound, DigestMismatch (digests damaged).
        """
        with closing(self._content(image_id)) as content:
            proof = verification.verify(
                content,
                image_id,
                first_object=first_object,
                budget_bytes=budget_bytes,
                bytes_per_second=bytes_per_second,
                wait_s=self._wait_s,
            )
        if proof.digests is not None:
            self._record_digests(image_id, proof.digests)
        return proof.report, proof.following

    def repair_object(self, image_id: str, offset: int, data: bytes) -> None:
        """Replace a damaged 4 MiB object by good bytes. Raises DigestMismatch if they are not what was stored."""
        with closing(self._content(image_id)) as content:
            verification.repair_object(content, offset, data)

    def _content(self, image_id: str) -> Content:
        return open_content(self._connect(), published_name(image_id), SNAPSHOT, image_id)

    def _record_digests(self, image_id: str, digests: Digests) -> None:
        with self._joined() as connection:
            publication.record_digests(connection, published_name(image_id), image_id, digests)

    def _stored_bytes(self, connection: Connection) -> int:
        """Return the bytes that our images and landings occupy by their own records."""
        total = 0
        for name in (*self._names(connection, PUBLISHED), *self._names(connection, LANDING)):
            with opened(connection, name) as image:
                finished = None if image is None else read_undamaged(image, FINISHED_KEY, Finished)
                total += 0 if finished is None else finished.stored_bytes
        return total

    def _names(self, connection: Connection, prefix: str) -> list[str]:
        with translated(self.name, "listing the pool"):
            return sorted(name for name in connection.rbd.list(connection.pool) if name.startswith(prefix))

    def _connect(self) -> Connection:
        return connect(self.name, self.address, self._credentials, timeout_s=self._wait_s)

    @contextmanager
    def _joined(self, *, quick: bool = False) -> Iterator[Connection]:
        connection = connect(self.name, self.address, self._credentials, timeout_s=self._wait_s, quick=quick)
        try:
            yield connection
        finally:
            connection.close()


def _described(connection: Connection, name: str) -> StoredImage | Unreadable | None:
    """Return a published image's description, or why it can't be read: one must not hide the others."""
    with opened(connection, name) as found:
        if found is None or not has_snapshot(found):
            return None
        try:
            image, replica = read_record(found, IMAGE_KEY, Image), read_record(found, REPLICA_KEY, Replica)
        except DigestMismatch as error:
            return error
    return None if image is None or replica is None else StoredImage(image=image, replica=replica)
