"""Records of the event log, of its verification, and of webhooks."""

from datetime import datetime
from typing import Literal

from catalog.records.record import Record, State

DeliveryStatus = Literal["Pending", "Delivered", "Failed"]


class Event(Record):
    """One entry of the append-only log.

    For a new record, `after` has all fields; for a removed one, `before` has; for a changed one, both have only the
    changed fields.
    """

    sequence: int
    at: datetime  # never before that of the previous entry
    kind: str  # e.g. "imagewright.image.added"
    subject: str  # e.g. "image:<id>", "image_storage:<name>"
    image_id: str | None = None  # of the image concerned, also for its replicas, exports, …
    actor: str  # the account that acted
    run_id: str | None = None
    identity: str | None = None  # the person or robot; `os:NAME` on a terminal of a host; None: not known
    door: str | None = None  # the entry point used, see `Door`
    before: dict[str, object] | None = None
    after: dict[str, object] | None = None
    note: bool = False  # True: an entry that changes no record
    previous_hash: str = ""  # hash chain: reveals tampering
    hash: str = ""


class LogVerified(Record):
    """The result of verifying the whole event log: every entry is unchanged and chained to the one before."""

    entries: int
    records: int  # each compared with its entries
    intact: bool = True


class Webhook(Record):
    """An address that receives events, each by a signed request."""

    name: str
    url: str
    secret: str  # name of a secret, never the secret
    events: tuple[str, ...]  # names, `*` for any characters
    state: State = "Enabled"
    created_at: datetime


class WebhookCursor(Record):
    """The last log entry for which a webhook's deliveries were created."""

    webhook: str
    sequence: int


class Delivery(Record):
    """The delivery of one event to one webhook, pending or done. id: the same for every attempt."""

    webhook: str
    sequence: int  # of the entry in the log
    id: str
    event: str
    status: DeliveryStatus = "Pending"
    attempts: int = 0
    tried_at: datetime | None = None
    due_at: datetime
    response: int | None = None  # HTTP status of the last answer
    reason: str = ""  # why the last attempt failed
    created_at: datetime
