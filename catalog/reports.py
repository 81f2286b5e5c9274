"""What operations say they would do, or did. Part of `catalog.records`, which everybody imports them from."""

from datetime import datetime
from typing import Literal

from catalog.record import Architecture, BiosMode, Record


class Action(Record):
    """One step of a plan."""

    verb: str  # e.g. "send chips", "delete leftover"
    subject: str
    bytes: int = 0
    reason: str = ""


class Plan(Record):
    """What an operation would do. Making one changes nothing."""

    operation: str
    actions: tuple[Action, ...] = ()
    bytes_to_move: int = 0
    bytes_already_there: int = 0
    summary: str = ""


class SyncOutcome(Record):
    """What a sync did for one image."""

    image_id: str
    outcome: Literal["synced", "already there", "failed"]
    chips_total: int = 0
    chips_sent: int = 0
    bytes_sent: int = 0
    error: str | None = None


class SyncReport(Record):
    """What a sync did, per image and in sum."""

    source: str
    target: str
    images: tuple[SyncOutcome, ...] = ()
    bytes_sent: int = 0
    bytes_saved: int = 0


class ItemOutcome(Record):
    """What an operation over several things did for one of them."""

    subject: str
    outcome: Literal["done", "kept", "pending", "failed"]
    bytes: int = 0
    reason: str = ""


class CleanupReport(Record):
    """What a clean-up deleted and what it kept, with reasons."""

    items: tuple[ItemOutcome, ...] = ()
    bytes_freed: int = 0


class ExpungeReport(CleanupReport):
    """What an expunge deleted; `pending` items are deleted later."""


class ReclaimReport(CleanupReport):
    """What a reclaim freed on one image storage."""

    image_storage: str
    chips_kept: int = 0
    chips_freed: int = 0


class VerifyReport(CleanupReport):
    """What a scrub read and proved; `failed` items are damaged."""

    chips_read: int = 0
    bytes_read: int = 0


class ReconcileReport(CleanupReport):
    """How catalog and storages differed and what was done about it."""


class RecoverReport(CleanupReport):
    """Which stuck runs were started again or ended."""


class BootCheckReport(Record):
    """What came of booting an image in a virtual machine in its declared mode."""

    image_id: str
    cpu_architecture: Architecture
    bios_mode: BiosMode
    booted: bool
    evidence: str  # what was seen, or why it counts as failed
    seconds: float
    screenshot: str | None = None  # path of a PNG below the home, or None if there was no screen
    console: str = ""  # the last printable characters of the serial console
    checked_at: datetime
