"""A chip store: its objects, its parameters, and the view of index and epochs that all other code uses."""

from collections.abc import Iterable
from threading import Lock

from catalog.errors import DigestMismatch, ObjectMissing
from storage.imagestore.format import epochs, index
from storage.imagestore.format.codec import Codec
from storage.imagestore.format.index import Table
from storage.imagestore.format.parameters import Parameters, load_parameters
from storage.imagestore.reading.fetch import ChipSource
from storage.imagestore.reading.index_recovery import found_again, write_anew
from storage.imagestore.reading.view import View, Views
from storage.protocols import ObjectStore


class ChipStore:
    """An open chip store; it keeps only a cache of immutable objects, never the state of an operation."""

    def __init__(self, objects: ObjectStore, wanted: Parameters | None = None) -> None:
        self.objects = objects
        self.parameters = load_parameters(objects, wanted)
        self.codec = Codec(self.parameters.level)
        self._views = Views(objects)
        self._lock = Lock()
        self._restoring = Lock()
        # Chips found in packs, and the segments they were found beside: kept here while they can't be written down.
        self._found: tuple[tuple[str, ...] | None, tuple[Table, ...]] = (None, ())

    def load_view(self) -> View:
        """Read the newest view from the store; unreadable parts of its index are rebuilt from the packs."""
        view = self.view_as_it_is()
        segments, tables = self._found
        if segments == view.segments:
            return view.with_own(tables)
        return self._restored(view) if view.unreadable else view

    def view_as_it_is(self) -> View:
        """Read the newest view from the store, without its damaged segments."""
        with self._lock:
            return self._views.load()

    def restore_index(self) -> int:
        """Index the packs with needed chips that the index lacks; return how many packs."""
        view = self.view_as_it_is()
        tables = found_again(self.objects, view)
        self._restored(view, tables)
        return len(tables)

    def _restored(self, view: View, tables: tuple[Table, ...] | None = None) -> View:
        """Return a view that includes recovered chips: from the index or, if that can't be written now, from memory."""
        with self._restoring:
            found = found_again(self.objects, view) if tables is None else tables
            written = (found or view.unreadable) and write_anew(self.objects, view, found)
            restored = self.view_as_it_is() if written else view.with_own(found)
            self._found = restored.segments, () if written else found
            return restored

    def readable_segments(self, names: Iterable[str]) -> tuple[list[Table], bool]:
        """Return the readable segments, newest first, and whether these are all."""
        found: list[Table] = []
        whole = True
        for name in sorted(names, reverse=True):
            try:
                found.append(self._views.read(name))
            except (DigestMismatch, ObjectMissing):
                whole = False
        return found, whole

    def add_segment(self, table: Table) -> None:
        """Add chips to the index as its newest segment."""
        while not self.objects.create(index.name_of(self.load_view().sequence + 1), index.encode(table)):
            continue

    def newest_epoch(self) -> int:
        """Read the number of the store's newest epoch."""
        return epochs.newest(self.objects)

    def source(self, own: tuple[Table, ...] = ()) -> ChipSource:
        """Return a reader of chips that searches the tables `own` first."""
        return ChipSource(
            self.objects,
            self.load_view().with_own(own),
            lambda: self.load_view().with_own(own),
            lambda: self._searched_view().with_own(own),
        )

    def _searched_view(self) -> View:
        """Return a view for a reader that misses a chip: the packs are searched once for the same segments."""
        view = self.view_as_it_is()
        return self.load_view() if self._found[0] == view.segments else self._restored(view)
