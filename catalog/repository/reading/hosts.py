"""Read what hosts exchange through the catalog."""

from collections.abc import Iterator

from catalog.errors import HostNotFound
from catalog.records import Host, ImageStorage, PrimaryStorage, RunOutcome, UploadPlace
from catalog.rules.storages.hosts import away, share_of, state_of
from catalog.store import record_kinds
from catalog.store.listing import Listing, where


class HostReading(Listing):
    """Reads hosts, places of uploads, and outcomes of runs handed from one host to another."""

    def hosts(self) -> Iterator[Host]:
        """List the hosts by name; one without a recent heartbeat is Silent."""
        now = self.now()
        for host in self._all(record_kinds.HOST):
            yield host.model_copy(update={"state": state_of(host, now)})

    def host(self, name: str) -> Host:
        """Return one host as it is now. Raises HostNotFound."""
        host = self._need(record_kinds.HOST, name, HostNotFound)
        return host.model_copy(update={"state": state_of(host, self.now())})

    def why_away(self, name: str) -> str:
        """Return why a host takes no runs now, "" if it does."""
        return away(name, self._get(record_kinds.HOST, name), self.now())

    def share_token(self, storage: ImageStorage | PrimaryStorage) -> str | None:
        """Return the token that proves a shared directory, None if it was never shared."""
        key = self._get(record_kinds.SHARED_KEY, share_of(storage))
        return key.value if key else None

    def upload_host(self, upload_id: str) -> str | None:
        """Return the host of an upload, None if it has none: then each host sees the uploads folder, or the bucket."""
        place = self._get(record_kinds.UPLOAD_PLACE, upload_id)
        return place.host if place and place.bucket is None else None

    def upload_bucket(self, upload_id: str) -> str | None:
        """Return the image storage whose bucket holds an upload, None if a folder does."""
        place = self._get(record_kinds.UPLOAD_PLACE, upload_id)
        return place.bucket if place else None

    def upload_places(self, host: str) -> Iterator[UploadPlace]:
        """List the uploads on a host."""
        return self._all(record_kinds.UPLOAD_PLACE, where(host=host))

    def run_outcome(self, run_id: str) -> RunOutcome | None:
        """Return the outcome of a run handed to another host, None if there is none yet."""
        return self._get(record_kinds.RUN_OUTCOME, run_id)
