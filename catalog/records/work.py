"""Records of work in progress: leases, bandwidth, deferred work, outcomes of runs."""

from datetime import datetime

from catalog.records.record import Record


class Lease(Record):
    """The lock of an image. The token grows each time it is taken, which fences off a holder with an older token."""

    image_id: str
    holder: str | None = None
    token: int = 0
    created_at: datetime


class Pacing(Record):
    """The moment up to which the bandwidth of an image storage is assigned to writers."""

    image_storage: str
    free_at: datetime


class Deferred(Record):
    """Work that could not be done and is retried later."""

    id: str
    operation: str  # e.g. "delete replica"
    subject: str  # e.g. "replica:<image id>@<storage>"
    image_id: str | None = None
    storage: str = ""
    location: str = ""
    bytes: int = 0
    reason: str
    attempts: int = 0
    tried_at: datetime | None = None
    created_at: datetime


class Outcome(Record):
    """How a deployment's run ended, for the remote caller. Kept for some weeks.

    result: JSON of the record or records, None if the run failed or the result was too large to keep; error: class,
    sentence and values of its error.
    """

    run_id: str
    operation: str
    result: str | None = None
    error: dict[str, object] | None = None
    created_at: datetime
