"""What is new in the catalog's log, and in the folder of uploads: asked once for all who look."""

import itertools
from collections.abc import Sequence
from contextlib import suppress

from catalog import open_catalog
from catalog.errors import UploadNotFound
from catalog.records import Event
from catalog.settings import Settings
from storage.uploads import Uploads

MOST = 500
"""Entries that one look reads; the next one goes on behind them."""


class LogWatch:
    """A place in the log. Used by one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._uploads = settings, Uploads(settings)
        self.position: int | None = None
        self._sent: dict[str, tuple[object, ...]] = {}

    def look(self) -> tuple[Sequence[Event], bool]:
        """Return the entries since the last look, none at the first, and whether an upload changed. Raises as the catalog does."""
        with open_catalog(self._settings.catalog_address) as catalog:
            begun = self.position is not None
            self.position = self.position if self.position is not None else catalog.log_position()
            new = list(itertools.islice(catalog.events(since=self.position), MOST)) if begun else []
        if new:
            self.position = new[-1].sequence
        return new, self._uploads_changed()

    def _uploads_changed(self) -> bool:
        sent = {upload.id: self._state(upload.id) for upload in self._uploads.all()}
        changed, self._sent = sent != self._sent, sent
        return changed

    def _state(self, upload_id: str) -> tuple[object, ...]:
        with suppress(UploadNotFound):
            uploads = self._uploads
            return uploads.offset(upload_id), uploads.refusal(upload_id), uploads.runs(upload_id)
        return ()
