"""An ImageStore: images kept as chips with one manifest each, on any object store."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from time import monotonic

from catalog.errors import CapacityExceeded, DigestMismatch, ImageNotFound, StaleLanding
from catalog.records import (
    Capacity,
    CompactionReport,
    Image,
    ImageFormat,
    ImageStorage,
    ReclaimReport,
    Replica,
    ReplicaStatus,
    StorageKind,
    VerifyReport,
)
from catalog.rules.storages.kinds import KINDS
from catalog.units import utc_now
from storage.abilities import Ailment
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import finished, index, manifest, names, pack
from storage.imagestore.format.finished import Finished
from storage.imagestore.format.journal import Journal
from storage.imagestore.format.manifest import ManifestHeader, Pieces
from storage.imagestore.reading import manifests
from storage.imagestore.reading.export import export_pieces
from storage.imagestore.reading.files import FollowingReader, Reader, followed, reader_of
from storage.imagestore.reading.manifests import Unreadable
from storage.imagestore.reading.pins import landing_ids
from storage.imagestore.upkeep import compact, figures, health
from storage.imagestore.upkeep import verify as verification
from storage.imagestore.upkeep.compact import Compaction
from storage.imagestore.upkeep.compact_plan import candidates
from storage.imagestore.upkeep.explain import why
from storage.imagestore.upkeep.recipes import Holding, Recipes, Turned
from storage.imagestore.upkeep.reclaim import reclaim
from storage.imagestore.writing.landing import ChipLanding
from storage.imagestore.writing.publish import alive, publish_chips, remove
from storage.protocols import Digests, ImageReader, LandingInfo, ObjectStore, Progress, StoredImage
from storage.transfer.memory import give_back
from storage.uploads.bucket import ROOT


class ImageStore:
    """An ImageStorage (see the protocol) made of chips."""

    kind: StorageKind = "imagestore"

    def __init__(self, record: ImageStorage, objects: ObjectStore, chips: ChipStore | None = None) -> None:
        self.name = record.name
        self._record = record
        self.objects = objects
        self.keeps_recipes = record.recipes
        self.chips = chips or ChipStore(objects)

    def stored_format(self, added: ImageFormat) -> ImageFormat:
        """Return the stored format: vmdk becomes qcow2, all others stay bit for bit."""
        return KINDS[self.kind].stored_as[added]

    def check(self) -> None:
        """Prove that the store answers and accepts our reads and writes."""
        self.objects.put("check", b"imagewright")
        self.objects.delete("check")

    def capacity(self) -> Capacity:
        """Return the room: the record's capacity or the medium's, whichever is less, minus the reserve.

        Uploads stored beside the images don't count: their room was promised to them.
        """
        medium = self.objects.capacity()
        room = medium.available_bytes if medium else 1 << 62
        total = medium.total_bytes if medium else 1 << 62
        used = medium.used_bytes if medium else 0
        if self._record.capacity_bytes is not None:
            used = sum(info.size_bytes for info in self.objects.list("") if not info.name.startswith(ROOT))
            total = min(total, self._record.capacity_bytes)
            room = min(room, self._record.capacity_bytes - used)
        available = max(0, room - self._record.reserve_bytes)
        return Capacity(total_bytes=total, used_bytes=used, available_bytes=available)

    def chip_count(self) -> int:
        """Return the number of chips in the index, from its segments' heads; one stored anew counts twice."""
        return sum(
            index.chips_in(self.objects.get(found.name, 0, index.HEAD.size))
            for found in self.objects.list(index.PREFIX)
        )

    def landing(self, landing_id: str) -> ChipLanding:
        """Open a landing, new or kept."""
        return ChipLanding(self.chips, landing_id, self._room())

    def landings(self) -> Iterator[LandingInfo]:
        """List unpublished landings."""
        for landing_id in landing_ids(self.objects):
            kept = Journal(self.objects, landing_id).read()
            yield LandingInfo(landing_id=landing_id, kept_bytes=int(kept.entries["length"].sum()), source=kept.source)

    def publish(self, landing_id: str, image: Image, digests: Digests | None) -> Replica:
        """Name a finished landing as the image's replica: packs exist already, then index, then the manifest."""
        assert digests is not None, "an ImageStore converts no landings itself"
        landing = finished.read(self.objects, landing_id)
        if landing is None:
            return self._published_before(landing_id, image.id)
        if landing.pieces.size_bytes != digests.size_bytes:
            where = f"landing {landing_id} on {self.name}"
            raise DigestMismatch(where, f"{digests.size_bytes} bytes", f"{landing.pieces.size_bytes} bytes")
        stored = publish_chips(self.chips, landing_id, landing)
        replica = self._replica(image, digests, stored)
        self._put_manifest(image, replica, digests, landing)
        if not alive(self.chips, landing_id, landing) and self._lacking(landing.pieces):
            self.delete(image.id)  # a reclaim was told meanwhile that the landing is abandoned
            raise StaleLanding(landing_id)
        remove(self.chips, landing_id)
        return replica

    def contains(self, image_id: str) -> bool:
        """Tell whether a published replica exists."""
        return self.objects.size(manifests.name_of(image_id)) is not None

    def image_ids(self) -> list[str]:
        """List the ids of published images, without reading their manifests."""
        return manifests.ids(self.objects)

    def images(self) -> Iterator[StoredImage]:
        """List published images from the manifests alone; copies of them under another name are skipped."""
        for image_id, found in manifests.read_all(self.objects, _stored, copies=True):
            if isinstance(found, Exception):
                raise found
            if found.image.id == image_id:
                yield found

    def described_images(self) -> Iterator[tuple[str, StoredImage | Unreadable]]:
        """List published images by id; for a manifest that is unreadable or a copy of another, the reason."""
        return manifests.read_all(self.objects, _stored)

    def open(self, image_id: str) -> ImageReader:
        """Open a replica for reading. Raises ImageNotFound."""
        header, pieces = self._manifest(image_id)
        return FollowingReader(self._reader(header, pieces), lambda: self._other_form(image_id, header))

    def export(self, image_id: str, target: Path, progress: Progress) -> Digests:
        """Write the complete file, sparse and verified, under a temporary name, then rename it."""
        header, pieces = self._manifest(image_id)
        what = f"image {image_id} on {self.name}"
        return followed(
            self._reader(header, pieces),
            lambda: self._other_form(image_id, header),
            lambda reader: export_pieces(reader, header.digests, target, progress, what),
        )

    def _reader(self, header: ManifestHeader, pieces: Pieces) -> Reader:
        where = f"image {header.image.id} on {self.name}"
        return reader_of(self.chips.source(), header, pieces, where)

    def _other_form(self, image_id: str, known: ManifestHeader) -> Reader | None:
        """Return a reader if an image got or lost a recipe since; None if nothing changed."""
        header, pieces = self._manifest(image_id)
        return None if header.form == known.form else self._reader(header, pieces)

    def delete(self, image_id: str) -> None:
        """Withdraw the replica; its chips stay until reclaim."""
        self.objects.delete(manifests.name_of(image_id))

    def restore_index(self) -> int:
        """Index packs with needed chips that the index lacks, e.g. after its loss; return how many packs."""
        return self.chips.restore_index()

    def ailments(self) -> Iterator[Ailment]:
        """Yield damage other than to manifests and chips' bytes, changing nothing."""
        return health.ailments(self.chips)

    def repair(self) -> None:
        """Rewrite what can be derived from undamaged objects."""
        health.repair(self.chips)

    def reclaim(self, keep_landings: AbstractSet[str] | None = None, *, plan_only: bool = False) -> ReclaimReport:
        """Free what no manifest or landing needs; landings not in `keep_landings` are discarded. None keeps all."""
        return reclaim(self.chips, self.name, keep_landings, plan_only=plan_only)

    def compact(
        self,
        until: datetime,
        landing_id: str,
        *,
        budget_bytes: int | None = None,
        plan_only: bool = False,
        holding: Holding = nullcontext,
    ) -> CompactionReport:
        """Put chips of images written until then into the smallest form, then free the space of the old ones.

        budget_bytes: plain bytes of chips to read at most, rounded up to 256 MiB. landing_id: of the landing that pins
        rewritten chips, one for the storage. plan_only: names the due images, and changes nothing.
        Raises CapacityExceeded; StaleLanding if another process compacted or discarded the landing meanwhile.
        """
        begun, before, turned = monotonic(), self._kept_bytes(), Turned()
        if plan_only:
            done = compact.planned(self.objects, until, recipes=self.keeps_recipes)
        else:
            turned = self._turned(until, landing_id, budget_bytes, holding)
            left = None if budget_bytes is None else budget_bytes - turned.bytes_read
            done = Compaction(self.chips, landing_id, self._require_room).run(until, left)
        if done.bytes_read or turned.images:
            give_back()
            reclaim(self.chips, self.name, sparse_below=compact.SPARSE)
        after, saved = self._kept_bytes(), figures.saved(self.chips.view_as_it_is(), done.logical_bytes)
        return CompactionReport(
            image_storage=self.name,
            bytes_before=before,
            bytes_after=after,
            bytes_freed=max(0, before - after),
            images=done.left if plan_only else done.images,
            images_left=done.left,
            bytes_read=done.bytes_read + turned.bytes_read,
            items=tuple(turned.items),
            logical_bytes=done.logical_bytes,
            saved_by_dedup_bytes=saved.by_dedup,
            saved_by_compression_bytes=saved.by_compression,
            saved_by_compaction_bytes=saved.by_compaction,
            seconds=monotonic() - begun,
        )

    def _turned(self, until: datetime, landing_id: str, budget_bytes: int | None, holding: Holding) -> Turned:
        """Turn packed files into contents and recipes, or back, as the storage's settings say."""
        recipes = Recipes(self.chips, self.landing, landing_id, holding, wanted=self.keeps_recipes)
        return recipes.run(candidates(self.objects), until, budget_bytes)

    def chip_holding(self, image_id: str, offset: int) -> bytes:
        """Return the digest of the chip with this byte of an image. Raises ImageNotFound; InvalidRequest for a hole."""
        header, pieces = self._manifest(image_id)
        reader = self._reader(header, pieces)
        if 0 <= offset < reader.size_bytes:
            offset = reader.place_of(offset)
        return verification.chip_holding(pieces, offset).tobytes()

    def why(self, digest: bytes) -> tuple[str, ...]:
        """Explain why a chip is kept, or will be deleted."""
        return why(self.chips, digest)

    def verify(
        self,
        image_id: str,
        *,
        first_object: int = 0,
        budget_bytes: int | None = None,
        bytes_per_second: int | None = None,
    ) -> tuple[VerifyReport, int | None]:
        """Prove a replica by reading it; return what was found and the piece to resume at, None at the end.

        Failed items are damaged; their subject is `IMAGE_ID@OFFSET`, their bytes the length of the chip.
        Raises ImageNotFound, DigestMismatch (manifest damaged).
        """
        header, pieces = self._manifest(image_id)
        report, left = verification.verify(self.chips, pieces, image_id, first_object, budget_bytes, bytes_per_second)
        if report.items:
            now, _ = self._manifest(image_id)
            if now.form != header.form:  # its form changed meanwhile: the pieces read are gone
                return self.verify(image_id, budget_bytes=budget_bytes, bytes_per_second=bytes_per_second)
            if not header.verbatim:  # no other replica has these pieces: the whole replica is made anew
                raise DigestMismatch(f"image {image_id} on {self.name}", "all it is made of", report.items[0].reason)
        return report, left

    def repair_object(self, image_id: str, offset: int, data: bytes) -> None:
        """Replace the damaged chip at `offset` by a good copy. Raises DigestMismatch if it is not that chip."""
        _, pieces = self._manifest(image_id)
        verification.repair(self.chips, verification.chip_at(pieces, offset).tobytes(), data)

    def pieces(self, image_id: str) -> Pieces:
        """Return the pieces of an image. Raises ImageNotFound."""
        return self._manifest(image_id)[1]

    def stored(self, image_id: str) -> StoredImage:
        """Return the description in an image's manifest. Raises ImageNotFound."""
        return _stored(*self._manifest(image_id))

    def _kept_bytes(self) -> int:
        """Return the bytes of packs, index and manifests."""
        kept = (pack.PREFIX, index.PREFIX, manifests.FOLDER)
        return sum(info.size_bytes for prefix in kept for info in self.objects.list(prefix))

    def _require_room(self, needed: int) -> None:
        available = self.capacity().available_bytes
        if needed > available:
            raise CapacityExceeded(self.name, needed, available)

    def _lacking(self, pieces: Pieces) -> bool:
        return not self.chips.load_view().usable(pieces.data_digests).all()

    def _manifest(self, image_id: str) -> tuple[ManifestHeader, Pieces]:
        return manifests.read(self.objects, image_id)

    def _published_before(self, landing_id: str, image_id: str) -> Replica:
        """Return the replica that an earlier attempt published, and remove the rest of its landing."""
        try:
            header, _ = self._manifest(image_id)
        except ImageNotFound as error:
            raise StaleLanding(landing_id) from error
        remove(self.chips, landing_id)
        return header.replica

    def _put_manifest(self, image: Image, replica: Replica, digests: Digests, landing: Finished) -> None:
        chips = int((~landing.pieces.holes).sum())
        header = ManifestHeader(image=image, replica=replica, digests=digests, chips=chips)
        names.require_image(image.id)
        self.objects.put(manifests.name_of(image.id), manifest.encode(header, landing.entries))

    def _replica(self, image: Image, digests: Digests, stored_bytes: int) -> Replica:
        return Replica(
            image_id=image.id,
            image_storage=self.name,
            status=ReplicaStatus.READY,
            format=image.format_stored,
            location=manifests.name_of(image.id),
            size_bytes=digests.size_bytes,
            stored_bytes=stored_bytes,
            md5=digests.md5,
            sha256=digests.sha256,
            created_at=utc_now(),
        )

    def _room(self) -> Callable[[int], None]:
        """Return a check that raises CapacityExceeded once a landing has written more than its room."""
        available: int | None = None

        def check(written: int) -> None:
            nonlocal available
            if available is None:
                available = self.capacity().available_bytes
            if written > available:
                raise CapacityExceeded(self.name, written, available)

        return check


def _stored(header: ManifestHeader, _: Pieces) -> StoredImage:
    return StoredImage(image=header.image, replica=header.replica)
