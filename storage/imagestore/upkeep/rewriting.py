"""New packs for chips a store already has: written aside, read back and proven, then made current in one step.

As a landing pins the chips that an add relies on, one pins the rewritten chips and their bases: a reclaim sees it, or
is seen. Once published, the packs themselves name their bases.
"""

from collections.abc import Sequence

import numpy as np

from catalog.errors import ObjectMissing, StaleLanding
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import index
from storage.imagestore.format.index import U1, Table
from storage.imagestore.format.journal import Journal, folder
from storage.imagestore.format.manifest import ENTRY
from storage.imagestore.format.parameters import LEANING_VERSION, raise_version
from storage.imagestore.reading.view import View
from storage.imagestore.upkeep.similar import Sketch
from storage.imagestore.writing.packer import Encoded, Packer
from storage.imagestore.writing.publish import discard, remove
from storage.protocols import SourceInfo


class Rewriting:
    """One writer at a time; the next one deletes a dead one's leftovers, whose chips also lie elsewhere."""

    def __init__(self, chips: ChipStore, landing_id: str) -> None:
        self.landing_id = landing_id
        self._chips, self._journal = chips, Journal(chips.objects, landing_id)
        self._sealed: list[Table] = []
        self._packer: Packer | None = None
        self._bases = np.zeros((0, 32), np.uint8)
        self._leaning: set[bytes] = set()

    def begin(self, chips: U1, sketches: Sequence[Sketch]) -> None:
        """Pin chips (n, 32) that may be rewritten and their possible bases. A view must be loaded after that."""
        raise_version(self._chips.objects, LEANING_VERSION)
        discard(self._chips, self.landing_id)
        self._journal.begin(SourceInfo(url="imagewright:compaction"))
        self._journal.take_over(0)
        for digests in (chips, *(sketch.digests for sketch in sketches)):
            entries = np.zeros(len(digests), dtype=ENTRY)
            entries["digest"] = digests
            self._journal.entries(entries)
        self._leaning = self._chips.load_view().leaning_packs()

    def add(self, chain: list[Encoded], bases: U1) -> None:
        """Write one chain, after the record of any bases. Raises StaleLanding if the landing was swept."""
        try:
            self._packer = self._packer or self._new_packer()
            self._packer.add(chain)
        except ObjectMissing as error:
            raise StaleLanding(self.landing_id) from error
        if len(bases):
            self._bases = np.unique(np.concatenate([self._bases, bases]), axis=0)

    def _new_packer(self) -> Packer:
        pack_bytes, place = self._chips.parameters.pack_bytes, folder(self.landing_id)
        return Packer(self._chips.objects, place, pack_bytes, self._journal.pack, self._sealed.append, leaning=True)

    def publish(self) -> None:
        """Prove all new packs, then make their chips current; more may be added after that.

        Raises DigestMismatch if a pack does not read back, StaleLanding if the landing was discarded, or another
        process compacted meanwhile. Nothing has changed then.
        """
        if self._packer is None:
            return
        try:
            self._packer.close_part()
            self._packer.wait()
        except ObjectMissing as error:
            raise StaleLanding(self.landing_id) from error
        finally:
            self._packer.stop()
        table = index.merge(self._sealed)
        self._prove(table)
        self._journal.done()
        while True:
            view = self._chips.load_view()
            self._require_unchanged(view)
            if self._chips.objects.create(index.name_of(view.sequence + 1), index.encode(table)):
                break
        self._leaning |= table.leaning_packs()
        self._packer, self._sealed, self._bases = None, [], self._bases[:0]

    def end(self) -> None:
        """Unpin: published packs name their bases themselves."""
        remove(self._chips, self.landing_id)

    def discard(self) -> None:
        """Delete what was written but not published."""
        if self._packer is not None:
            self._packer.stop()
        discard(self._chips, self.landing_id)

    def _prove(self, table: Table) -> None:
        order = np.lexsort((table.offset, table.pack))
        for _ in self._chips.source((table,)).stream(table.digests[order]):
            pass

    def _require_unchanged(self, view: View) -> None:
        """Check that bases still lean on nothing, and that no other process made a chip lean. Raises StaleLanding."""
        places = view.locate(self._bases)
        stale = places.missing.any() or places.leaning.any() or view.leaning_packs() - self._leaning
        if stale or self._journal.read().writer != self._journal.writer:
            raise StaleLanding(self.landing_id)
