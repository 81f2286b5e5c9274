"""Work in hand: leases, bandwidth given out, deferred work."""

from datetime import datetime

from catalog.records.record import Record


class Lease(Record):
    """Who works on an image. The token grows with every taking: a holder with an older one is fenced off."""

    image_id: str
    holder: str | None = None
    token: int = 0
    created_at: datetime


class Pacing(Record):
    """Until when the bandwidth of an image storage is given away to those who write to it."""

    image_storage: str
    free_at: datetime


class Deferred(Record):
    """Work that could not be done now and is tried again later."""

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
    """How a run of a deployment ended, for whoever asked for it from afar. Kept for some weeks.

    result: JSON of the record or records, None where it failed, or where it was too large to be kept; error: the class,
    sentence and values of what it failed with.
    """

    run_id: str
    operation: str
    result: str | None = None
    error: dict[str, object] | None = None
    created_at: datetime
