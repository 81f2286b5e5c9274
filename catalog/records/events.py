"""An entry of the event log, what verifying the log found, and who is told of events (webhooks)."""

from datetime import datetime
from typing import Literal

from catalog.records.record import Record, State

DeliveryStatus = Literal["Pending", "Delivered", "Failed"]


class Event(Record):
    """One entry of the append-only log.

    A new record stands whole in `after`, a removed one whole in `before`; of a changed one, both name only
    the fields that changed.
    """

    sequence: int
    at: datetime  # never before that of the previous entry
    kind: str  # e.g. "imagewright.image.added"
    subject: str  # e.g. "image:<id>", "image_storage:<name>"
    image_id: str | None = None  # of the image it is about, also for its replicas, exports, …
    actor: str  # the account that acted
    run_id: str | None = None
    identity: str | None = None  # the person or robot; `os:NAME` on a terminal of a host; None: not known
    door: str | None = None  # where they came in, see `Door`
    before: dict[str, object] | None = None
    after: dict[str, object] | None = None
    note: bool = False  # changes no record: what it says stands for itself
    previous_hash: str = ""  # hash chain: tampering shows
    hash: str = ""


class LogVerified(Record):
    """What a check of the whole event log found: every entry is what was written, and follows from the one before."""

    entries: int
    records: int  # each compared with what the entries say of it
    intact: bool = True


class Webhook(Record):
    """An address that is told of events, each told by a signed request."""

    name: str
    url: str
    secret: str  # name of a secret, never the secret
    events: tuple[str, ...]  # names, `*` for any characters
    state: State = "Enabled"
    created_at: datetime


class WebhookCursor(Record):
    """Up to which entry of the log a webhook's deliveries were made out."""

    webhook: str
    sequence: int


class Delivery(Record):
    """One event on its way to one webhook, or what became of it. id: the same with every attempt."""

    webhook: str
    sequence: int  # of the entry in the log
    id: str
    event: str
    status: DeliveryStatus = "Pending"
    attempts: int = 0
    tried_at: datetime | None = None
    due_at: datetime
    response: int | None = None  # status that the address answered last
    reason: str = ""  # why the last attempt failed
    created_at: datetime
