"""Hosts: the machines that work on one catalog, and what they hand to each other through it."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from catalog.records.record import Record

IN_BUCKET = "image storage "
HostState = Literal["Connected", "Silent", "Draining"]


class Host(Record):
    """A machine that runs a worker or a console, as it told when it last gave a sign of life.

    address: URL of its console as other hosts reach it, empty where they don't. storages, primary_storages: names of
    those that it reaches. versions: of what runs there, by program. state: Silent is never kept, but told by the age of last_seen.
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
    """A key that all hosts of a catalog sign with. value: hex; a secret, in no listing."""

    name: str
    value: str


class UploadPlace(Record):
    """Where a file is sent to. id: of the upload, and of the image that is made of it.

    host: whose folder takes it; or, where a bucket does, what `in_bucket` makes of its image storage. No host has such a name: a
    program from before there were uploads in buckets says that it was never seen, and touches nothing.
    """

    id: str
    host: str

    @property
    def bucket(self) -> str | None:
        """The image storage in whose bucket it lies, None where it lies on a host."""
        return self.host.removeprefix(IN_BUCKET) if self.host.startswith(IN_BUCKET) else None


def in_bucket(image_storage: str) -> str:
    """Return what stands for a host where a file is sent into the bucket of an image storage."""
    return f"{IN_BUCKET}{image_storage}"


class RunOutcome(Record):
    """What a run returned that was handed to another host, for who waits for it. result, error: JSON, one of them."""

    run_id: str
    result: str | None = None
    error: str | None = None
    created_at: datetime
