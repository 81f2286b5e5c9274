"""Records of hosts, the machines that share a catalog, and of what they exchange through it."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from catalog.records.record import Record

IN_BUCKET = "image storage "
HostState = Literal["Connected", "Silent", "Draining"]


class Host(Record):
    """A machine that runs a worker or a console, as of its last heartbeat.

    address: URL of its console for other hosts, empty if they can't reach it. storages, primary_storages: names of
    those that it reaches. versions: by program. state: Silent is never stored but derived from the age of last_seen.
    """

    name: str
    address: str = ""
    storages: tuple[str, ...] = ()
    primary_storages: tuple[str, ...] = ()
    free_scratch_bytes: int = 0
    versions: dict[str, str] = Field(default_factory=dict)
    state: HostState = "Connected"
    last_seen: datetime  # by the database's clock
    created_at: datetime


class SharedKey(Record):
    """A signing key shared by all hosts of a catalog. value: hex; a secret, in no listing."""

    name: str
    value: str


class UploadPlace(Record):
    """Where an upload is stored. id: of the upload, and of the image made of it.

    host: the host whose folder takes it; for an upload in a bucket, `in_bucket` of its image storage. No host has such
    a name: a program older than uploads in buckets takes it for an unknown host and touches nothing.
    """

    id: str
    host: str

    @property
    def bucket(self) -> str | None:
        """The image storage whose bucket holds the upload, None if a host does."""
        return self.host.removeprefix(IN_BUCKET) if self.host.startswith(IN_BUCKET) else None


def in_bucket(image_storage: str) -> str:
    """Return the value of `host` for an upload in the bucket of an image storage."""
    return f"{IN_BUCKET}{image_storage}"


class RunOutcome(Record):
    """The outcome of a run handed to another host, for the waiting caller. result, error: JSON, one of them."""

    run_id: str
    result: str | None = None
    error: str | None = None
    created_at: datetime
