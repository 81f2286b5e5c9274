"""The one definition of each thing that the catalog keeps or an operation returns.

Frozen pydantic models. Sizes are bytes, digests bare lower-case hex, times timezone-aware UTC, ids UUID strings.
Collections of records are pyrsistent maps and vectors, never fields of a record.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

ImageType = Literal["System", "Volume"]
ImageFormat = Literal["raw", "qcow2", "vmdk", "iso"]
Media = Literal["Template", "DataTemplate", "ISO"]
Architecture = Literal["x86_64", "aarch64", "mips64el", "loongarch64"]
Platform = Literal["Linux", "Windows", "Other"]
BiosMode = Literal["Legacy", "UEFI"]
SharingMode = Literal["none", "specified", "global"]
StorageKind = Literal["imagestore", "ceph"]
PrimaryKind = Literal["local", "ceph"]
State = Literal["Enabled", "Disabled"]
Connection = Literal["Connected", "Disconnected"]
RetentionPolicy = Literal["direct", "delay", "never"]


class ImageStatus(StrEnum):
    """Where an image is in its life."""

    CREATING = "Creating"
    DOWNLOADING = "Downloading"
    READY = "Ready"
    ERROR = "Error"
    DELETED = "Deleted"
    MIGRATING = "Migrating"


class ReplicaStatus(StrEnum):
    """Where one image on one image storage is in its life."""

    LANDING = "Landing"
    READY = "Ready"
    DAMAGED = "Damaged"
    DELETING = "Deleting"


class Record(BaseModel):
    """What all records share: immutable, and no field that is not declared."""

    # defer_build: half of the import time was building validators of records that a call never meets
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Finding(Record):
    """One thing that a rule found in the bytes of an image."""

    rule: str  # stable id, e.g. "qcow2.backing-file"
    rule_version: int
    severity: Literal["error", "warning", "info"]
    offset: int | None = None  # bytes from the start of the file, where one place can be named
    sentence: str


class Verdict(Record):
    """What the bytes of a file are, and which rules said so."""

    format: str  # detected; one of ImageFormat, or vhd, vhdx, vdi, … when refused
    virtual_size_bytes: int
    rule_set: str  # version of the whole set, e.g. "2026.11"
    findings: tuple[Finding, ...] = ()

    @property
    def safe(self) -> bool:
        """Tell whether no rule refused the bytes."""
        return not any(f.severity == "error" for f in self.findings)


class BootFacts(Record):
    """What would boot, read from the bytes."""

    partition_table: Literal["gpt", "mbr", "none", "iso", "unknown"] = "unknown"
    bios_boot: bool = False  # MBR boot code, or an El Torito BIOS entry
    uefi_boot: tuple[str, ...] = ()  # machine types of EFI/BOOT/BOOT*.EFI, e.g. ("x86_64",)
    guest_os: str | None = None  # e.g. "Debian GNU/Linux 12 (bookworm)"
    virtio: bool | None = None  # None: could not be told
    cloud_init: bool | None = None
    guest_agent: bool | None = None
    filesystems: tuple[str, ...] = ()


class QualityCheck(Record):
    """The result of one expectation."""

    name: str
    success: bool
    sentence: str


class QualityReport(Record):
    """The result of one data-quality suite."""

    suite: str
    success: bool
    checks: tuple[QualityCheck, ...] = ()
    checked_at: datetime
    docs_url: str | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """Sentences of the checks that failed."""
        return tuple(c.sentence for c in self.checks if not c.success)


class Image(Record):
    """A template: a system image boots a VM, a volume image holds data."""

    id: str
    name: str
    description: str = ""
    image_type: ImageType = "System"
    format: ImageFormat  # of the file that was added
    format_stored: ImageFormat  # what the storages keep
    media: Media = "Template"
    cpu_architecture: Architecture | None = None
    platform: Platform | None = None
    os: str = ""
    virtio: bool | None = None
    bios_mode: BiosMode | None = None
    enable_csm: bool = False
    elastic_baremetal: bool = False
    source: str = ""  # URL, secrets masked
    expected_checksum: str | None = None
    size_bytes: int | None = None  # of the file that was added
    virtual_size_bytes: int | None = None
    actual_size_bytes: int | None = None  # newly taken on the storage by this image
    md5: str | None = None
    sha256: str | None = None
    status: ImageStatus = ImageStatus.CREATING
    state: State = "Enabled"
    error: str | None = None
    warnings: tuple[str, ...] = ()
    verdict: Verdict | None = None
    boot: BootFacts | None = None
    quality: QualityReport | None = None
    owner: str = "admin"
    sharing_mode: SharingMode = "none"
    shared_accounts: tuple[str, ...] = ()
    shared_projects: tuple[str, ...] = ()
    protected: bool = False  # delete protection
    family: str | None = None
    deprecated: bool = False
    replaced_by: str | None = None
    image_storages: tuple[str, ...] = ()  # where the add was asked to put it
    version: int = 0  # optimistic: a write names the version it read
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class Replica(Record):
    """One image on one image storage."""

    image_id: str
    image_storage: str
    status: ReplicaStatus = ReplicaStatus.LANDING
    format: ImageFormat
    location: str = ""  # manifest name, or pool/image
    size_bytes: int = 0  # of the stored file
    stored_bytes: int = 0  # newly written for it when it landed
    md5: str | None = None  # of the stored file (differs from the image's after a conversion)
    sha256: str | None = None
    error: str | None = None
    verified_at: datetime | None = None
    created_at: datetime


class ExportedImage(Record):
    """A complete file made from a replica."""

    id: str
    image_id: str
    image_storage: str
    format: ImageFormat
    path: str  # local path, or location on the storage
    url: str | None = None
    size_bytes: int
    md5: str
    sha256: str
    created_at: datetime


class Leftover(Record):
    """Raw data kept on the source after an image changed its storage."""

    id: str
    image_id: str
    image_storage: str
    location: str
    size_bytes: int
    moved_to: str
    created_at: datetime


class Capacity(Record):
    """Room on a storage, in bytes."""

    total_bytes: int
    used_bytes: int
    available_bytes: int  # after the reserve


class ImageStorage(Record):
    """Where images are kept: an ImageStore (chips) or a Ceph pool."""

    name: str
    kind: StorageKind
    url: str
    credentials: str | None = None  # name of a secret, never the secret
    endpoint: str | None = None
    sync_network: str | None = None  # CIDR
    capacity_bytes: int | None = None
    reserve_bytes: int = 1 << 30
    state: State = "Enabled"
    connection: Connection = "Connected"
    created_at: datetime


class PrimaryStorage(Record):
    """Where VMs and volumes live."""

    name: str
    kind: PrimaryKind
    url: str
    credentials: str | None = None
    created_at: datetime


class Volume(Record):
    """A volume or VM disk made from an image."""

    id: str
    name: str
    image_id: str
    primary_storage: str
    location: str
    backing: str
    size_bytes: int
    owner: str = "admin"
    created_at: datetime


class CachedImage(Record):
    """An image downloaded to a primary storage, from which volumes are made."""

    image_id: str
    primary_storage: str
    location: str
    size_bytes: int
    last_used_at: datetime
    created_at: datetime


class Account(Record):
    """What is configured for an account; None means the setting of the whole system applies."""

    name: str
    projects: tuple[str, ...] = ()
    quota_images: int | None = None  # 0: no limit, here and below
    quota_bytes: int | None = None
    quota_stored_bytes: int | None = None  # physical, after deduplication
    retention_days: float | None = None
    retention_policy: RetentionPolicy | None = None
    created_at: datetime


class Counted(Record):
    """What an account's images take, kept up to date with every change. The recycle bin is counted in, and apart."""

    account: str
    images: int = 0
    size_bytes: int = 0  # logical: sizes of the files added
    stored_bytes: int = 0  # physical: newly written for the account's replicas
    binned_images: int = 0
    binned_bytes: int = 0


class Usage(Counted):
    """What an account uses now, adds on their way included in `reserved_…` as far as not yet counted."""

    reserved_images: int = 0
    reserved_bytes: int = 0


class Reservation(Record):
    """Quota and capacity set aside for an image on its way in; replaced, never added, when the add is repeated."""

    subject: str  # "image:<id>"
    account: str
    storages: tuple[str, ...] = ()
    size_bytes: int = 0
    landed_bytes: int = 0  # already written, and so already missing from the measured capacity
    created_at: datetime


class Lease(Record):
    """Who works on an image. The token grows with every taking: a holder with an older one is fenced off."""

    image_id: str
    holder: str | None = None
    token: int = 0
    created_at: datetime


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
    actor: str
    run_id: str | None = None
    before: dict[str, object] | None = None
    after: dict[str, object] | None = None
    previous_hash: str = ""  # hash chain: tampering shows
    hash: str = ""


class Conversion(Record):
    """How the file that one storage keeps was made from the file added. `arguments`: exact, but for the scratch paths."""

    image_storage: str
    from_format: ImageFormat
    to_format: ImageFormat
    program: str  # with its version, as it names itself
    arguments: tuple[str, ...] = ()
    sha256: str | None = None  # of the file that came out
    md5: str | None = None


class Origin(Record):
    """Where the bytes of an image came from, as measured while they arrived. `url` is masked."""

    url: str
    address: str | None = None  # really connected to
    size_bytes: int
    etag: str | None = None
    last_modified: str | None = None
    md5: str
    sha256: str
    checksum: str = ""  # of the algorithm that was expected
    expected_checksum: str | None = None
    rule_set: str = ""  # of the safety rules that passed it
    conversions: tuple[Conversion, ...] = ()


class Provenance(Record):
    """The origin of an image as one entry of its log. One field, so that it never looks like a change of the image's."""

    provenance: Origin


class LogVerified(Record):
    """What a check of the whole event log found: every entry is what was written, and follows from the one before."""

    entries: int
    intact: bool = True


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
