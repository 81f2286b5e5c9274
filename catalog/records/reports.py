"""Plans and reports of operations. Import them from `catalog.records`."""

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
    """The actions that an operation would take. Making a plan changes nothing."""

    operation: str
    actions: tuple[Action, ...] = ()
    bytes_to_move: int = 0
    bytes_already_there: int = 0
    summary: str = ""


class SyncOutcome(Record):
    """The result of a sync for one image."""

    image_id: str
    outcome: Literal["synced", "already there", "failed", "removed", "kept"]  # the last two with `deletion: mirror`
    chips_total: int = 0
    chips_sent: int = 0
    bytes_sent: int = 0
    error: str | None = None


class SyncReport(Record):
    """The result of a sync, per image and in total."""

    source: str
    target: str
    images: tuple[SyncOutcome, ...] = ()
    bytes_sent: int = 0
    bytes_saved: int = 0


class AddOutcome(Record):
    """The result of one image of an add of many. id: of the image; error: one sentence."""

    id: str
    name: str
    outcome: Literal["added", "already there", "failed"]
    error: str | None = None


class AddReport(Record):
    """The result of an add of many images, in the order requested."""

    images: tuple[AddOutcome, ...] = ()


class ItemOutcome(Record):
    """The result of an operation over several things for one of them."""

    subject: str
    outcome: Literal["done", "kept", "pending", "failed"]
    bytes: int = 0
    reason: str = ""


class CleanupReport(Record):
    """The items that a clean-up deleted and kept, with reasons."""

    items: tuple[ItemOutcome, ...] = ()
    bytes_freed: int = 0


class ExpungeReport(CleanupReport):
    """The items that an expunge deleted; `pending` items are deleted later."""


class ReclaimReport(CleanupReport):
    """The items that a reclaim freed on one image storage."""

    image_storage: str
    chips_kept: int = 0
    chips_freed: int = 0


class CompactionReport(CleanupReport):
    """The result of compacting image storages: bytes of packs, index and manifests.

    images: compacted in this run (in a plan: due); images_left: still to do; bytes_read: of images, limited by the
    budget. logical_bytes: of all images' files; saved_by_…: the part saved by each technique, that of compaction
    estimated.
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
    """Where a chip of an image lies and why. digest: bare hex; sentences: its locations and what references it."""

    image_storage: str
    digest: str
    sentences: tuple[str, ...] = ()


class VerifyReport(CleanupReport):
    """The items that a verification read and verified; `failed` items are damaged."""

    chips_read: int = 0
    bytes_read: int = 0


class ReconcileReport(CleanupReport):
    """The differences between catalog and storages and their corrections."""


class RecoverReport(CleanupReport):
    """The stuck runs that were started again or ended."""


class BootPoint(Record):
    """How far a boot must get. command: must succeed in the guest's shell once cloud-init is done, "" for none."""

    until: BootStage = "boots"
    command: str = ""


class BootCheckReport(Record):
    """The result of booting an image in a virtual machine in its declared mode."""

    image_id: str
    cpu_architecture: Architecture
    bios_mode: BiosMode
    booted: bool
    until: BootStage = "boots"  # how far it had to get
    command: str = ""  # run in the guest once cloud-init was done
    evidence: str  # what showed the boot, or why it counts as failed
    seconds: float
    screenshot: str | None = None  # path of a PNG below the home; None: no screen
    console: str = ""  # the last printable characters of the serial console
    checked_at: datetime


class CatalogueItem(Record):
    """The result of one entry of a catalogue as code. changes: field by field."""

    section: str
    name: str
    outcome: Literal["set", "changed", "unchanged", "failed"]
    changes: tuple[str, ...] = ()
    reason: str = ""


class CatalogueReport(Record):
    """The result of applying a catalogue as code, in its order."""

    items: tuple[CatalogueItem, ...] = ()
