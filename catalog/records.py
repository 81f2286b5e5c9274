"""The one definition of each thing that the catalog keeps or an operation returns.

Frozen pydantic models. Sizes are bytes, digests bare lower-case hex, times timezone-aware UTC, ids UUID strings.
Collections of records are pyrsistent maps and vectors, never fields of a record.
"""

from datetime import datetime
from enum import StrEnum

from catalog.evidence import (
    BootFacts,
    Conversion,
    Finding,
    Origin,
    Provenance,
    QualityCheck,
    QualityReport,
    Verdict,
)
from catalog.record import (
    Architecture,
    BiosMode,
    Connection,
    ImageFormat,
    ImageType,
    Media,
    Platform,
    PrimaryKind,
    Record,
    RetentionPolicy,
    SharingMode,
    State,
    StorageKind,
)
from catalog.reports import (
    Action,
    BootCheckReport,
    CleanupReport,
    ExpungeReport,
    ItemOutcome,
    Plan,
    ReclaimReport,
    ReconcileReport,
    RecoverReport,
    SyncOutcome,
    SyncReport,
    VerifyReport,
)
from catalog.working import (
    Account,
    Counted,
    Deferred,
    Lease,
    Pacing,
    Reservation,
    Usage,
)

__all__ = [
    "Account",
    "Action",
    "Architecture",
    "BiosMode",
    "BootCheckReport",
    "BootFacts",
    "CachedImage",
    "Capacity",
    "CleanupReport",
    "Connection",
    "Conversion",
    "Counted",
    "Deferred",
    "Event",
    "ExportedImage",
    "ExpungeReport",
    "Finding",
    "Image",
    "ImageFormat",
    "ImageStatus",
    "ImageStorage",
    "ImageType",
    "ItemOutcome",
    "Lease",
    "Leftover",
    "LogVerified",
    "Media",
    "Origin",
    "Pacing",
    "Plan",
    "Platform",
    "PrimaryKind",
    "PrimaryStorage",
    "Provenance",
    "QualityCheck",
    "QualityReport",
    "ReclaimReport",
    "ReconcileReport",
    "Record",
    "RecoverReport",
    "Replica",
    "ReplicaStatus",
    "Reservation",
    "RetentionPolicy",
    "SharingMode",
    "State",
    "StorageKind",
    "SyncOutcome",
    "SyncReport",
    "Usage",
    "Verdict",
    "VerifyReport",
    "Volume",
]


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
    expires_at: datetime | None = None  # from then on the next purge puts it into the recycle bin


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
    bandwidth_bytes_s: int | None = None  # of all that comes into it; None: no cap
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
    note: bool = False  # changes no record: what it says stands for itself
    previous_hash: str = ""  # hash chain: tampering shows
    hash: str = ""


class LogVerified(Record):
    """What a check of the whole event log found: every entry is what was written, and follows from the one before."""

    entries: int
    records: int  # each compared with what the entries say of it
    intact: bool = True
