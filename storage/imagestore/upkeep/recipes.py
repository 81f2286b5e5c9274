"""Turn packed files into contents and recipe, or back, as the storage's settings say, for images not written lately.

There are two steps: the clusters of a compressed qcow2 file, then packed members, including those in the result of the
first step. The new pieces are landed as in an add, the whole file is reproduced from them and proven, and only then is
the manifest rewritten, under the image's lock. Readers that began earlier switch to the new one.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime

from catalog.errors import (
    DigestMismatch,
    ImageBusy,
    ImageNotFound,
    MissingProgram,
    ObjectMissing,
    ProgramFailed,
    StorageRefused,
)
from catalog.records import ItemOutcome
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import compacted, finished, manifest
from storage.imagestore.format.finished import Finished
from storage.imagestore.format.manifest import ManifestHeader, Pieces
from storage.imagestore.format.members.deflating import deflate_here
from storage.imagestore.format.parameters import RECIPES_VERSION, raise_version
from storage.imagestore.format.recipe import library
from storage.imagestore.reading import manifests
from storage.imagestore.reading.files import reader_of
from storage.imagestore.reading.reader import PieceReader
from storage.imagestore.upkeep import taking_apart
from storage.imagestore.upkeep.compact_plan import Candidate
from storage.imagestore.upkeep.members import taking as taking_members
from storage.imagestore.writing.landing import ChipLanding
from storage.imagestore.writing.publish import alive, publish_chips, remove
from storage.protocols import SourceInfo
from storage.transfer.memory import give_back

Holding = Callable[[str], AbstractContextManager[object]]
"""Holds an image's lock for the block. Raises ImageBusy."""
Planned = tuple[ManifestHeader, Iterable[memoryview]]
"""A form of an image, and the bytes to store with it."""
Plan = Callable[[ManifestHeader, Pieces, str], Planned | None]
BLOCK_BYTES = 4 << 20
KEPT = (ImageNotFound, ImageBusy, DigestMismatch, ObjectMissing, StorageRefused, MissingProgram, ProgramFailed)
"""Errors that leave one image unchanged and let the others continue."""


def here() -> str:
    """Return the libraries of this host: images that they could not reproduce are not tried with them again."""
    return f"{library('zlib')}, {library('zstd')}; {deflate_here()}"


def due(images: Iterable[Candidate], until: datetime, tried: dict[str, str], *, wanted: bool) -> list[Candidate]:
    """Return the images to convert. wanted: whether recipes are; else those that have one are restored."""
    old = [one for one in images if one.written_at <= until]
    if not wanted:
        return [one for one in old if not one.verbatim]
    return [one for one in old if not one.unpacked and tried.get(one.image_id) != here()]


@dataclass(slots=True)
class Turned:
    """The result. images: converted ones; bytes_read: of files; items: images left unchanged, and why."""

    images: int = 0
    bytes_read: int = 0
    items: list[ItemOutcome] = field(default_factory=list)


class Recipes:
    """One run over a store. landing: opens landings; landing_id: the one to use; wanted: as in `due`."""

    def __init__(
        self,
        chips: ChipStore,
        landing: Callable[[str], ChipLanding],
        landing_id: str,
        holding: Holding,
        *,
        wanted: bool,
    ) -> None:
        self._chips, self._landing, self._landing_id, self._holding = chips, landing, landing_id, holding
        self._wanted = wanted

    def run(self, images: Sequence[Candidate], until: datetime, budget_bytes: int | None) -> Turned:
        """Convert the due images. Raises CapacityExceeded, StaleLanding."""
        objects, turned = self._chips.objects, Turned()
        there = {one.image_id for one in images}
        tried = {image_id: what for image_id, what in compacted.read_tried(objects).items() if image_id in there}
        for one in due(images, until, tried, wanted=self._wanted):
            if budget_bytes is not None and turned.bytes_read >= budget_bytes:
                break
            try:
                turned.images += self._turn(one.image_id)
                self._note(one.image_id, tried)
            except KEPT as error:
                turned.items.append(ItemOutcome(subject=one.image_id, outcome="kept", reason=str(error)))
                continue
            turned.bytes_read += one.size_bytes
        return turned

    def _note(self, image_id: str, tried: dict[str, str]) -> None:
        """Record that this host reproduces no more of an image, or that it may be tried again."""
        objects = self._chips.objects
        if self._wanted and manifests.read(objects, image_id)[0].members is None:
            raise_version(objects, RECIPES_VERSION)
            tried[image_id] = here()
        elif tried.pop(image_id, None) is None:
            return
        compacted.write(objects, compacted.read(objects), tried)

    def _turn(self, image_id: str) -> bool:
        """Convert one image; return False if its bytes can't be reproduced."""
        steps: tuple[Plan, ...] = (self._without_clusters, self._without_members)
        done = False
        for plan in steps if self._wanted else (self._as_it_was,):
            done |= self._step(image_id, plan)
            give_back()
        return done

    def _step(self, image_id: str, plan: Plan) -> bool:
        """Give an image another form, if there is one."""
        objects = self._chips.objects
        before = manifests.raw(objects, image_id)
        header, pieces = manifests.read(objects, image_id)
        where = f"{objects.location}/{manifests.name_of(image_id)}"
        planned = plan(header, pieces, where)
        if planned is None:
            return False
        after, blocks = planned
        landing = self._landing(self._landing_id)
        try:
            landed = self._land(landing, blocks)
            give_back()  # each of these has its own threads, and their freed memory is kept for threads that never come
            after = after.model_copy(update={"chips": int((~landed.pieces.holes).sum())})
            self._prove(landed, after, where)
            self._publish(image_id, before, after, landed)
        except BaseException:
            landing.discard()
            raise
        remove(self._chips, self._landing_id)
        self._compact_again(image_id)
        return True

    def _compact_again(self, image_id: str) -> None:
        """Record that an image's chips have changed."""
        images = compacted.read(self._chips.objects)
        images.pop(image_id, None)
        compacted.write(self._chips.objects, images)

    def _without_clusters(self, header: ManifestHeader, pieces: Pieces, _where: str) -> Planned | None:
        """Plan the form in which the clusters of a compressed file are kept as contents."""
        if header.replica.format != "qcow2" or not header.verbatim:
            return None
        reader = PieceReader(self._chips.source(), pieces)
        apart = taking_apart.take_apart(reader)
        if apart is None:
            return None
        return header.model_copy(update={"recipe": apart.recipe}), taking_apart.stream(reader, apart)

    def _without_members(self, header: ManifestHeader, pieces: Pieces, _where: str) -> Planned | None:
        """Plan the form in which packed members are kept as contents."""
        reader = PieceReader(self._chips.source(), pieces)
        unpacked = taking_members.take_members(reader) if header.members is None else None
        if unpacked is None:
            return None
        return header.model_copy(update={"members": unpacked.recipe}), taking_members.stream(reader, unpacked)

    def _as_it_was(self, header: ManifestHeader, pieces: Pieces, where: str) -> Planned | None:
        """Plan the form with the file's own bytes."""
        if header.verbatim:
            return None
        reader = reader_of(self._chips.source(), header, pieces, where)
        starts = range(0, reader.size_bytes, BLOCK_BYTES)
        blocks = (memoryview(reader.read_at(start, BLOCK_BYTES)) for start in starts)
        return header.model_copy(update={"recipe": None, "members": None}), blocks

    def _land(self, landing: ChipLanding, blocks: Iterable[memoryview]) -> Finished:
        landing.begin(SourceInfo(url="imagewright:recipe"))
        for block in blocks:
            landing.write(block)
        landing.finish()
        landing.close()
        done = finished.read(self._chips.objects, self._landing_id)
        if done is None:
            raise ObjectMissing(f"{self._chips.objects.location}/{finished.name_of(self._landing_id)}")
        return done

    def _prove(self, landed: Finished, header: ManifestHeader, where: str) -> None:
        """Reproduce the whole file from what was stored. Raises DigestMismatch if it differs."""
        sha256, size = hashlib.sha256(), 0
        reader = reader_of(self._chips.source((landed.table,)), header, landed.pieces, where)
        for length, data in reader.pieces():
            for block in reader.filled(length, data):
                sha256.update(block)
            size += length
        if (size, sha256.hexdigest()) != (header.digests.size_bytes, header.digests.sha256):
            raise DigestMismatch(where, f"sha256:{header.digests.sha256}", f"sha256:{sha256.hexdigest()}")

    def _publish(self, image_id: str, before: bytes, header: ManifestHeader, landed: Finished) -> None:
        """Give the image the new pieces, unless it was deleted or rewritten meanwhile. Raises ImageNotFound."""
        objects, name = self._chips.objects, manifests.name_of(image_id)
        raise_version(objects, header.store_version)
        publish_chips(self._chips, self._landing_id, landed)
        with self._holding(image_id):
            if manifests.raw(objects, image_id) != before:
                raise ImageNotFound(image_id, "as it was: it was written anew meanwhile")
            objects.put(name, manifest.encode(header, landed.entries))
            if not alive(self._chips, self._landing_id, landed) and self._lacking(landed.pieces):
                objects.put(name, before)  # a reclaim was told meanwhile that the landing is abandoned
                raise ObjectMissing(f"{objects.location}/{name}: chips of its new form")

    def _lacking(self, pieces: Pieces) -> bool:
        return not self._chips.load_view().usable(pieces.data_digests).all()
