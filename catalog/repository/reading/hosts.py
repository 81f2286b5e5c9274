"""Reading what hosts tell each other through the catalog."""

from collections.abc import Iterator

from catalog.errors import HostNotFound
from catalog.records import Host, ImageStorage, PrimaryStorage, RunOutcome, UploadPlace
from catalog.rules.storages.hosts import away, share_of, state_of
from catalog.store import record_kinds
from catalog.store.listing import Listing, where


class HostReading(Listing):
    """The hosts as they are now, and what runs returned that were handed from one to another."""

    def hosts(self) -> Iterator[Host]:
        """List the hosts by name; one that gives no sign of life any more is Silent."""
        now = self.now()
        for host in self._all(record_kinds.HOST):
            yield host.model_copy(update={"state": state_of(host, now)})

    def host(self, name: str) -> Host:
        """Return one host as it is now. Raises HostNotFound."""
        host = self._get(record_kinds.HOST, name)
        if host is None:
            raise HostNotFound(name)
        return host.model_copy(update={"state": state_of(host, self.now())})

    def why_away(self, name: str) -> str:
        """Say why a host takes no runs now, "" where it does."""
        return away(name, self._get(record_kinds.HOST, name), self.now())

    def share_token(self, storage: ImageStorage | PrimaryStorage) -> str | None:
        """Return the token that proves a shared directory, None where it was never shared."""
        key = self._get(record_kinds.SHARED_KEY, share_of(storage))
        return key.value if key else None

    def upload_host(self, upload_id: str) -> str | None:
        """Return the host that a file is sent to, None where nothing says so: each host sees the folder of uploads, or the bucket."""
        place = self._get(record_kinds.UPLOAD_PLACE, upload_id)
        return place.host if place and place.bucket is None else None

    def upload_bucket(self, upload_id: str) -> str | None:
        """Return the image storage in whose bucket a file is sent, None where it is in a folder."""
        place = self._get(record_kinds.UPLOAD_PLACE, upload_id)
        return place.bucket if place else None

    def upload_places(self, host: str) -> Iterator[UploadPlace]:
        """List what was sent to a host."""
        return self._all(record_kinds.UPLOAD_PLACE, where(host=host))

    def run_outcome(self, run_id: str) -> RunOutcome | None:
        """Return what a run left that was handed to another host, None where it left nothing yet."""
        return self._get(record_kinds.RUN_OUTCOME, run_id)
