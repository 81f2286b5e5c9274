"""Chips arriving from another store, under a landing that pins every chip of the manifests to come.

All chips are pinned first, then the target is asked which ones it lacks: a reclaim either sees the pins or is seen by
the view. So nothing has to be checked again, however long the sending takes.
"""

from collections.abc import Sequence
from threading import Lock

import numpy as np

from catalog.errors import ObjectMissing, StaleLanding
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import finished
from storage.imagestore.format.finished import Finished
from storage.imagestore.format.index import U1, Table, joined_by_size, merge
from storage.imagestore.format.journal import Journal, folder
from storage.imagestore.format.manifest import ENTRY, Entries
from storage.imagestore.writing import salvage
from storage.imagestore.writing.packer import Encoded, Packer
from storage.imagestore.writing.publish import alive, discard, publish_chips, remove
from storage.protocols import SourceInfo


class Delivery:
    """One writer at a time; after a death another process resumes the same delivery."""

    def __init__(self, chips: ChipStore, landing_id: str) -> None:
        self.landing_id = landing_id
        self._chips, self._objects = chips, chips.objects
        self._journal = Journal(chips.objects, landing_id)
        self._own: tuple[Table, ...] = ()  # durable packs of this delivery
        self._entries: Entries = np.zeros(0, dtype=ENTRY)
        self._sealing = Lock()
        self._packer: Packer | None = None
        self._done: Finished | None = None

    def begin(self, info: SourceInfo, digests: U1) -> U1:
        """Pin the chips of shape (n, 32), resume an earlier attempt, and return the chips that are missing."""
        kept = self._journal.read()
        if kept.source is None or not kept.source.same_file(info):
            self.discard()
            self._journal.begin(info)
        self._entries = np.zeros(len(digests), dtype=ENTRY)
        self._entries["digest"] = digests
        self._journal.take_over(0)
        self._journal.entries(self._entries)
        self._objects.delete(finished.name_of(self.landing_id))
        self._own = salvage.packs_left(self._objects, kept.packs)
        self._packer = self._new_packer()
        salvage.move_parts(self._objects, salvage.parts_in(self._objects, folder(self.landing_id)), self._packer)
        usable = self._chips.load_view().with_own(self._own).usable(digests)
        lacking: U1 = digests[~usable]
        return lacking

    def take(self, chips: Sequence[Encoded]) -> None:
        """Write encoded chips unchanged; the caller proved them."""
        (self._packer or self._new_packer()).add(chips)

    def publish(self) -> None:
        """Make everything durable and index it; still pinned until `end`. Raises StaleLanding."""
        try:
            if self._packer is not None:
                self._packer.close_part()
                self._packer.wait()
        except ObjectMissing as error:  # the open pack was swept: the delivery was taken for abandoned
            raise StaleLanding(self.landing_id) from error
        self.close()
        writer = self._journal.writer
        self._journal.done()
        self._done = finished.write(self._objects, self.landing_id, writer, self._entries, merge(self._own))
        publish_chips(self._chips, self.landing_id, self._done)

    def absent(self) -> set[bytes]:
        """Return the chips that the store lacks now, checked again before a manifest may name them."""
        digests: U1 = np.ascontiguousarray(self._entries["digest"])
        missing = self._chips.load_view().locate(digests).missing
        return {digest.tobytes() for digest in digests[missing]}

    def overtaken(self) -> bool:
        """Tell whether the delivery was discarded or taken over after it was published, and chips are gone."""
        if self._done is None or alive(self._chips, self.landing_id, self._done):
            return False
        return bool(self.absent())

    def end(self) -> None:
        """Unpin: the manifests are written, or the chips are not wanted."""
        remove(self._chips, self.landing_id)

    def close(self) -> None:
        """Stop background work, and keep what can be kept."""
        if self._packer is not None:
            self._packer.stop()
            self._packer = None

    def discard(self) -> None:
        """Delete the delivery and its chips."""
        self.close()
        discard(self._chips, self.landing_id)
        self._own = ()

    def _new_packer(self) -> Packer:
        pack_bytes = self._chips.parameters.pack_bytes
        return Packer(self._objects, folder(self.landing_id), pack_bytes, self._journal.pack, self._sealed)

    def _sealed(self, table: Table) -> None:
        with self._sealing:  # several threads publish packs
            self._own = joined_by_size((*self._own, table))
