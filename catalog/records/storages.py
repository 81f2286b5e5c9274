"""Records of image storages, primary storages, volumes and cached images."""

from datetime import datetime

from catalog.records.record import (
    Connection,
    PrimaryKind,
    Record,
    State,
    StorageKind,
)


class Capacity(Record):
    """Space on a storage, in bytes."""

    total_bytes: int
    used_bytes: int
    available_bytes: int  # after the reserve


class ImageStorage(Record):
    """A storage for images: an ImageStore (chips) or a Ceph pool."""

    name: str
    kind: StorageKind
    url: str
    credentials: str | None = None  # name of a secret, never the secret
    endpoint: str | None = None
    sync_network: str | None = None  # CIDR
    capacity_bytes: int | None = None
    reserve_bytes: int = 1 << 30
    bandwidth_bytes_s: int | None = None  # cap on all writes to it; None: no cap
    state: State = "Enabled"
    connection: Connection = "Connected"
    host: str | None = None  # owner of the directory; None: no host, or the catalog's only one
    shared: bool = False  # a directory that all hosts see, as its token proves
    recipes: bool = False  # compressed files may be stored as their contents and a recipe
    logical_bytes: int | None = None  # of all images' files; this and the next five as of the last compaction
    kept_bytes: int | None = None  # in packs, index and manifests
    saved_by_dedup_bytes: int | None = None
    saved_by_compression_bytes: int | None = None
    saved_by_compaction_bytes: int | None = None
    measured_at: datetime | None = None
    created_at: datetime


class PrimaryStorage(Record):
    """A storage for VMs and volumes."""

    name: str
    kind: PrimaryKind
    url: str
    credentials: str | None = None
    host: str | None = None  # as of an image storage
    shared: bool = False
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
    """An image downloaded to a primary storage, where volumes are made from it."""

    image_id: str
    primary_storage: str
    location: str
    size_bytes: int
    last_used_at: datetime
    created_at: datetime
