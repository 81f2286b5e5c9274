"""Records of images, replicas, exports and leftovers."""

from datetime import datetime
from enum import StrEnum

from catalog.records.measured import (
    BootFacts,
    QualityReport,
    Verdict,
)
from catalog.records.record import (
    Architecture,
    BiosMode,
    ImageFormat,
    ImageType,
    Media,
    Platform,
    Record,
    SharingMode,
    State,
)


class ImageStatus(StrEnum):
    """The status of an image."""

    CREATING = "Creating"
    DOWNLOADING = "Downloading"
    READY = "Ready"
    ERROR = "Error"
    DELETED = "Deleted"
    MIGRATING = "Migrating"


class ReplicaStatus(StrEnum):
    """The status of a replica."""

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
    format: ImageFormat  # of the added file
    format_stored: ImageFormat  # of the stored file
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
    actual_size_bytes: int | None = None  # newly written on the storage for this image
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
    build_version: str | None = None  # the publisher's, e.g. "12.5-20240211"
    labels: tuple[str, ...] = ()  # key=value
    parent: str | None = None  # id of the image it was made of
    recalled: str | None = None  # the reason why nothing new may be made of it
    deprecated: bool = False
    replaced_by: str | None = None
    image_storages: tuple[str, ...] = ()  # those that the add requested
    version: int = 0  # optimistic locking: a write names the version it read
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    expires_at: datetime | None = None  # then the next purge moves it to the recycle bin


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
    """A complete file made from a replica.

    host: the one whose disk has it; None: its image storage's, or the only host.
    """

    id: str
    image_id: str
    image_storage: str
    format: ImageFormat
    path: str  # local path, or location on the storage
    url: str | None = None
    size_bytes: int
    md5: str
    sha256: str
    host: str | None = None
    proven: str | None = None  # state of its file when these digests were verified; None: verify by reading it
    created_at: datetime


class Leftover(Record):
    """Data kept on the source storage after an image changed its storage."""

    id: str
    image_id: str
    image_storage: str
    location: str
    size_bytes: int
    moved_to: str
    created_at: datetime
