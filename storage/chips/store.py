"""A chip store: objects, their parameters, and the view of index and epochs that everything else works with."""

from collections.abc import Iterable
from threading import Lock

from storage.chips import epochs, index
from storage.chips.codec import Codec
from storage.chips.fetch import ChipSource
from storage.chips.index import Table
from storage.chips.parameters import Parameters, load_parameters
from storage.chips.view import View, Views
from storage.protocols import ObjectStore


class ChipStore:
    """Opens a store once; what it keeps is a cache of immutable objects, never the state of an operation."""

    def __init__(self, objects: ObjectStore, wanted: Parameters | None = None) -> None:
        self.objects = objects
        self.parameters = load_parameters(objects, wanted)
        self.codec = Codec(self.parameters.level)
        self._views = Views(objects)
        self._lock = Lock()
        self._view: View | None = None

    def load_view(self) -> View:
        """Read the newest view from the store."""
        with self._lock:
            self._view = self._views.load()
            return self._view

    def read_segments(self, names: Iterable[str]) -> list[Table]:
        """Return segments by name, newest first, so that merging them keeps the newest place of a chip."""
        return [self._views.read(name) for name in sorted(names, reverse=True)]

    def add_segment(self, table: Table) -> None:
        """Add chips to the index as its newest segment."""
        while not self.objects.create(index.name_of(self.load_view().sequence + 1), index.encode(table)):
            continue

    def newest_epoch(self) -> int:
        """Ask the store for the number of its newest epoch."""
        return epochs.newest(self.objects)

    def source(self, own: tuple[Table, ...] = ()) -> ChipSource:
        """Return a reader of chips, which looks into the tables `own` first."""
        return ChipSource(
            self.objects, self.load_view().with_own(own), lambda: self.load_view().with_own(own)
        )
