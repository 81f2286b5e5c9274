"""Compaction: chips of images not written lately are put into the smallest form, newest image first.

The newest of several similar images stands alone, in chains of the best level; chips that only older ones have lean on
similar chips of the newer. Each step is written aside, proven and published; a reclaim then frees the garbage in the
old packs. A chip that others lean on never leans itself.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from catalog.errors import DigestMismatch, ImageNotFound, ObjectMissing, StorageRefused
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import compacted
from storage.imagestore.format.codec import BASES, CHAIN_BYTES, Payload, digest_of
from storage.imagestore.format.index import I8, U1, U8, distinct, keys_of, member
from storage.imagestore.format.manifest import Pieces
from storage.imagestore.format.pack import RECORD
from storage.imagestore.reading import manifests
from storage.imagestore.reading.fetch import ChipSource
from storage.imagestore.reading.unindexed_packs import leaned_on
from storage.imagestore.reading.view import View
from storage.imagestore.upkeep.compact_plan import Candidate, Newer, candidates, due, sorted_keys, work_on
from storage.imagestore.upkeep.recipes import due as turning_due
from storage.imagestore.upkeep.reclaim import finish_interrupted
from storage.imagestore.upkeep.rewriting import Rewriting
from storage.imagestore.upkeep.similar import Pool, Sketch, block_bytes, sketch_of
from storage.imagestore.writing.packer import Encoded
from storage.protocols import ObjectStore
from storage.transfer.memory import give_back

STEP_BYTES = 256 << 20  # plain bytes that are written, proven and published at a time: a death loses this much
LEANING_SAVES = 0.03  # of a chain's bytes at least: leaning chips cost more to read
ALONE_COSTS = 0.01  # at most: chips that gain nothing move along, so that whole packs become free
SPARSE = 0.9  # packs less used than this are rewritten afterwards: unchanged chips lie between others
NEXT_OLDER, BEARING = 4, 2  # images examined for bases of others, and images used
MOST_CHIPS = 1 << 18  # of the images that one may lean on, in total: 16 GiB of data, 11 MiB of the journal


@dataclass(frozen=True, slots=True)
class Compacted:
    """The result of a compaction. images: finished; bytes_read: plain bytes of their chips; left: unfinished."""

    images: int = 0
    bytes_read: int = 0
    left: int = 0
    logical_bytes: int = 0  # of all images


def planned(objects: ObjectStore, until: datetime, *, recipes: bool) -> Compacted:
    """Return the images that a compaction would process, as `left`. recipes: whether the storage uses recipes."""
    images = candidates(objects)
    turning = turning_due(images, until, compacted.read_tried(objects), wanted=recipes)
    count = len({one.image_id for one in (*due(images, until, compacted.read(objects)), *turning)})
    return Compacted(left=count, logical_bytes=sum(one.size_bytes for one in images))


class Compaction:
    """One run over a store.

    landing_id: the landing that pins rewritten chips; room: called with the bytes that a step may take.
    """

    def __init__(self, chips: ChipStore, landing_id: str, room: Callable[[int], None]) -> None:
        self._chips, self._landing_id, self._room = chips, landing_id, room
        self._block = block_bytes(chips.parameters.average_bytes)
        self._sketches: OrderedDict[str, Sketch] = OrderedDict()
        self._newer = Newer()
        self._leaning: set[bytes] = set()
        self._bases: U8 = np.zeros(0, np.uint64)  # keys of the bases of the chains in these packs

    def run(self, until: datetime, budget_bytes: int | None) -> Compacted:
        """Compact images written until then, within a budget of plain bytes. Raises StaleLanding, CapacityExceeded."""
        finish_interrupted(self._chips)
        images, done = candidates(self._chips.objects), compacted.read(self._chips.objects)
        done = {one.image_id: done[one.image_id] for one in images if one.image_id in done}
        waiting = set(due(images, until, done))
        count = spent = 0
        for number, image in enumerate(images):
            if count == len(waiting) or (budget_bytes is not None and spent >= budget_bytes):
                break
            pieces = self._pieces(image)
            if pieces is not None:
                keys = sorted_keys(pieces)
                if image in waiting:
                    left = None if budget_bytes is None else budget_bytes - spent
                    related = self._newer.related(image)
                    if related:
                        related += self._bearing(image, images[number + 1 :])
                    spent += self._image(image, pieces, _few_enough(related), done, left)
                    count += done[image.image_id] in (None, compacted.NEWEST)
                    give_back()
                self._newer.take(image, keys)
            else:
                waiting.discard(image)
        return Compacted(count, spent, len(waiting) - count, sum(one.size_bytes for one in images))

    def _pieces(self, image: Candidate) -> Pieces | None:
        try:
            return manifests.read(self._chips.objects, image.image_id)[1]
        except (ImageNotFound, DigestMismatch, StorageRefused):  # deleted or damaged: continue with the others
            return None

    def _image(
        self,
        image: Candidate,
        pieces: Pieces,
        related: Sequence[Candidate],
        done: dict[str, int | None],
        budget_bytes: int | None,
    ) -> int:
        """Compact an image step by step, recording its progress; return the plain bytes read."""
        spent, first = 0, max(0, done.get(image.image_id) or 0)
        ended = None if related else compacted.NEWEST
        if not any(map(len, self._rows(pieces, first, len(pieces), self._chips.load_view()))):
            self._note(done, image.image_id, ended)
            return 0
        sketches = [sketch for one in related if (sketch := self._sketch(one)) is not None]
        rewriting = Rewriting(self._chips, self._landing_id)
        try:
            rewriting.begin(pieces.data_digests, sketches)
            while first < len(pieces) and (budget_bytes is None or spent < budget_bytes):
                stop = _step_end(pieces, first)
                spent += self._step(rewriting, pieces, range(first, stop), sketches)
                self._note(done, image.image_id, stop if stop < len(pieces) else ended)
                first = stop
            rewriting.end()
        except BaseException:
            rewriting.discard()
            raise
        return spent

    def _note(self, done: dict[str, int | None], image_id: str, state: int | None) -> None:
        done[image_id] = state
        compacted.write(self._chips.objects, done)

    def _step(self, rewriting: Rewriting, pieces: Pieces, numbers: range, sketches: Sequence[Sketch]) -> int:
        """Rewrite the chips of some pieces; return their plain bytes."""
        view = self._chips.load_view()
        lean, alone = self._rows(pieces, numbers.start, numbers.stop, view)
        count = int(pieces.lengths[lean].sum() + pieces.lengths[alone].sum())
        self._room(count)
        self._rewrite(rewriting, pieces, lean, view, self._pool(view, sketches))
        self._rewrite(rewriting, pieces, alone, view, self._pool(view, ()))
        rewriting.publish()
        return count

    def _pool(self, view: View, sketches: Sequence[Sketch]) -> Pool:
        """Return the sketches' chips that others may lean on: of older images only those that are bases already."""
        settled = [member(self._bases, keys_of(sketch.digests)) for sketch in sketches]
        newer = [member(self._newer.keys, keys_of(sketch.digests)) for sketch in sketches]
        allowed = [
            (bases | own) & view.usable(sketch.digests) & ~view.locate(sketch.digests).leaning
            for sketch, bases, own in zip(sketches, settled, newer, strict=True)
        ]
        return Pool(sketches, allowed, settled, self._block)

    def _bearing(self, image: Candidate, older: Sequence[Candidate]) -> list[Candidate]:
        """Return the next older images of the same name that are bases of others."""
        self._learn_bases(self._chips.load_view())
        found: list[Candidate] = []
        for one in [other for other in older if other.stem == image.stem][:NEXT_OLDER]:
            pieces = self._pieces(one)
            if pieces is not None and member(self._bases, sorted_keys(pieces)).any():
                found.append(one)
        return found[:BEARING]

    def _learn_bases(self, view: View) -> None:
        more = view.leaning_packs() - self._leaning
        self._bases = distinct(np.concatenate([self._bases, leaned_on(self._chips.objects, more)]))
        self._leaning |= more

    def _rows(self, pieces: Pieces, first: int, stop: int, view: View) -> tuple[I8, I8]:
        """Return the rows to rewrite: those that may lean, and those that are bases."""
        self._learn_bases(view)
        work = work_on(pieces, first, stop, self._newer.keys, view, self._bases)
        return work.lean, work.alone

    def _rewrite(self, rewriting: Rewriting, pieces: Pieces, rows: I8, view: View, pool: Pool) -> None:
        """Rewrite rows, a chain at a time, if that makes them smaller; unreadable chips stay as they are."""
        source = self._chips.source()
        stored = view.locate(pieces.digests[rows]).stored.astype(np.int64) + RECORD.size
        for at, end in _chains(pieces, rows):
            digests = pieces.digests[rows[at:end]]
            try:
                read = source.read(digests)
            except (DigestMismatch, ObjectMissing):  # verification reports them
                continue
            chips = list(zip(pieces.starts[rows[at:end]].tolist(), read, strict=True))
            chain, bases = self._smallest(source, pool, digests, chips, int(stored[at:end].sum()))
            if chain:
                rewriting.add(chain, bases)

    def _smallest(
        self, source: ChipSource, pool: Pool, digests: U1, chips: Sequence[tuple[int, Payload]], before: int
    ) -> tuple[list[Encoded], U1]:
        """Return a leaning chain with its bases, else a standalone one, else nothing. before: present bytes."""
        bases = pool.bases_for(chips)
        plain = [memoryview(chip) for _, chip in chips]
        for leaning in (True, False) if len(bases) else (False,):
            chain: list[Encoded] = []
            if leaning:
                listed = bases.tobytes()
                chain.append(Encoded(digest_of(listed), BASES, len(listed), listed))
                encoded = self._chips.codec.encode_leaning(plain, source.prefix(listed))
            else:
                encoded = self._chips.codec.encode_all(plain, hurried=False)
            chain += [
                Encoded(digest.tobytes(), codec, len(chip), payload)
                for digest, chip, (codec, payload) in zip(digests, plain, encoded, strict=True)
            ]
            limit = 1 - LEANING_SAVES if leaning else 1 + ALONE_COSTS
            if sum(RECORD.size + len(record.payload) for record in chain) <= limit * before:
                return chain, bases if leaning else bases[:0]
        return [], bases[:0]

    def _sketch(self, image: Candidate) -> Sketch | None:
        """Return the sketch of an image, None if it can't be read; the most recent ones are cached."""
        image_id = image.image_id
        if image_id not in self._sketches:
            try:
                pieces = manifests.read(self._chips.objects, image_id)[1]
                rows = np.flatnonzero(~pieces.holes)
                digests = pieces.digests[rows]
                chips = self._plain(digests, pieces.starts[rows].tolist())
                sketch = sketch_of(chips, digests, pieces.lengths[rows].astype(np.uint32), self._block)
            except (ImageNotFound, DigestMismatch, ObjectMissing, StorageRefused):
                return None
            self._sketches[image_id] = sketch
            while len(self._sketches) > 1 and sum(len(one.raw) for one in self._sketches.values()) > MOST_CHIPS:
                self._sketches.popitem(last=False)
        self._sketches.move_to_end(image_id)
        return self._sketches[image_id]

    def _plain(self, digests: U1, starts: Sequence[int]) -> Iterator[tuple[int, Payload]]:
        read = (chip for run in self._chips.source().stream(digests) for chip in run)
        return zip(starts, read, strict=True)


def _few_enough(related: Sequence[Candidate]) -> list[Candidate]:
    """Return the first images, as many as fit into memory with their chips."""
    chips = np.cumsum([one.chips for one in related])
    return [one for one, count in zip(related, chips.tolist(), strict=True) if count <= MOST_CHIPS]


def _step_end(pieces: Pieces, first: int) -> int:
    filled = np.cumsum(np.where(pieces.holes, 0, pieces.lengths)[first:]).astype(np.int64)
    return first + max(1, int(np.searchsorted(filled, STEP_BYTES, side="right")))


def _chains(pieces: Pieces, rows: I8) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of row ranges whose chips fit one chain."""
    filled = np.concatenate([[0], np.cumsum(pieces.lengths[rows].astype(np.int64))])
    at = 0
    while at < len(rows):
        end = max(at + 1, int(np.searchsorted(filled, filled[at] + CHAIN_BYTES, side="right")) - 1)
        yield at, end
        at = end
