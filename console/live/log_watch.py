"""Watch the catalog's log and the uploads for changes, once for all open pages."""

import itertools
import time
from collections.abc import Sequence
from contextlib import suppress

from catalog import open_catalog
from catalog.errors import ImagewrightError, StorageError, UploadNotFound
from catalog.records import Event
from catalog.repository.catalog import Catalog
from catalog.settings import Settings
from storage.uploads import Uploads
from tasks.runtime.uploads import open_uploads

MOST = 500
"""Most entries read in one look; the next one continues."""
BUCKETS_EVERY_S = 4.0
"""Seconds between looks at buckets, which take a handful of requests per upload; the folder is read at every look."""
REOPEN_S = 60.0
"""How long a catalog stays open: opening costs ten times a look, but a restored catalog is another file."""


class LogWatch:
    """A position in the log. Use it from one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._near, self._uploads = settings, Uploads(settings), open_uploads(settings)
        self.position: int | None = None
        self._sent: dict[str, tuple[object, ...]] = {}
        self._far: dict[str, tuple[object, ...]] = {}
        self._asked = float("-inf")
        self._catalog: Catalog | None = None
        self._opened = 0.0

    def look(self) -> tuple[Sequence[Event], bool]:
        """Return the entries since the last look, none at the first, and whether an upload changed.

        Raises the catalog's errors.
        """
        try:
            new = self._new_events(self._open())
        except ImagewrightError:
            self.close()
            raise
        return new, self._uploads_changed()

    def close(self) -> None:
        """Close the catalog; the next look reopens it."""
        opened, self._catalog = self._catalog, None
        if opened is not None:
            opened.close()

    def _open(self) -> Catalog:
        if self._catalog is None or time.monotonic() - self._opened > REOPEN_S:
            self.close()
            self._catalog, self._opened = open_catalog(self._settings.catalog_address), time.monotonic()
        return self._catalog

    def _new_events(self, catalog: Catalog) -> Sequence[Event]:
        if self.position is None:
            self.position = catalog.log_position()
            return []
        new = list(itertools.islice(catalog.events(since=self.position), MOST))
        if new:
            self.position = new[-1].sequence
        return new

    def _uploads_changed(self) -> bool:
        sent = self._states(self._near)
        if time.monotonic() - self._asked > BUCKETS_EVERY_S:
            found, self._asked = self._states(self._uploads), time.monotonic()
            self._far = {name: state for name, state in found.items() if name not in sent}
        sent = {**self._far, **sent}
        changed, self._sent = sent != self._sent, sent
        return changed

    def _states(self, uploads: Uploads) -> dict[str, tuple[object, ...]]:
        return {upload.id: _state(uploads, upload.id) for upload in uploads.all()}


def _state(uploads: Uploads, upload_id: str) -> tuple[object, ...]:
    with suppress(UploadNotFound, StorageError):
        return uploads.offset(upload_id), uploads.refusal(upload_id), uploads.runs(upload_id)
    return ()
