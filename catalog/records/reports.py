"""What operations say they would do, or did. Part of `catalog.records`, which everybody imports them from."""

from datetime import datetime
from typing import Literal

from catalog.records.record import Architecture, BiosMode, BootStage, Record


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
    outcome: Literal["synced", "already there", "failed", "removed", "kept"]  # the last two by `deletion: mirror`
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


class AddOutcome(Record):
    """What became of one image of many. id: by which it is known; error: one sentence."""

    id: str
    name: str
    outcome: Literal["added", "already there", "failed"]
    error: str | None = None


class AddReport(Record):
    """What an add of many images did, in the order asked."""

    images: tuple[AddOutcome, ...] = ()


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


class CompactionReport(CleanupReport):
    """What a compaction made of image storages: bytes of packs, index and manifests.

    images: done in this run (in a plan: due); images_left: not yet; bytes_read: of the images, what the budget counts.
    logical_bytes: of all images' files; saved_by_…: of these, by what the storage does, compaction being estimated.
    """

    image_storage: str = ""
    bytes_before: int = 0
    bytes_after: int = 0
    images: int = 0
    images_left: int = 0
    bytes_read: int = 0
    logical_bytes: int = 0
    saved_by_dedup_bytes: int = 0
    saved_by_compression_bytes: int = 0
    saved_by_compaction_bytes: int = 0
    seconds: float = 0.0


class ChipExplained(Record):
    """Why a piece of an image is where it is. digest: bare hex; sentences: where it lies and what keeps it."""

    image_storage: str
    digest: str
    sentences: tuple[str, ...] = ()


class VerifyReport(CleanupReport):
    """What a verification read and proved; `failed` items are damaged."""

    chips_read: int = 0
    bytes_read: int = 0


class ReconcileReport(CleanupReport):
    """How catalog and storages differed and what was done about it."""


class RecoverReport(CleanupReport):
    """Which stuck runs were started again or ended."""


class BootPoint(Record):
    """How far a boot has to come. command: run by the guest's shell once cloud-init is done, "" for none; it has to end well."""

    until: BootStage = "boots"
    command: str = ""


class BootCheckReport(Record):
    """What came of booting an image in a virtual machine in its declared mode."""

    image_id: str
    cpu_architecture: Architecture
    bios_mode: BiosMode
    booted: bool
    until: BootStage = "boots"  # how far it was to come
    command: str = ""  # that was run in it once cloud-init was done
    evidence: str  # what was seen, or why it counts as failed
    seconds: float
    screenshot: str | None = None  # path of a PNG below the home, or None if there was no screen
    console: str = ""  # the last printable characters of the serial console
    checked_at: datetime


class CatalogueItem(Record):
    """What became of one entry of a catalogue as code. changes: field by field."""

    section: str
    name: str
    outcome: Literal["set", "changed", "unchanged", "failed"]
    changes: tuple[str, ...] = ()
    reason: str = ""


class CatalogueReport(Record):
    """What applying a catalogue as code did, in its order."""

    items: tuple[CatalogueItem, ...] = ()
