"""Image storages, primary storages and volumes."""

from pydantic import Field

from catalog.records import PrimaryKind, State, StorageKind
from flows.requests.form import ChangingRequest, at

BANDWIDTH = (
    "Cap on all that comes into this storage together (adds, syncs, moves, whatever worker runs them), bytes per "
    "second, at least 65536; default: none. Register the storage again to change it: what runs already follows."
)


class RegisterImageStorage(ChangingRequest):
    """Register an image storage."""

    name: str = Field(**at(0, "Name", "Name of the storage; the rules of image names apply."))
    kind: StorageKind = Field(
        "imagestore", **at(1, "Kind", "imagestore (chips, in a directory or S3) or ceph (RBD).")
    )
    url: str = Field(
        **at(2, "URL", "file:///dir, s3://bucket/prefix, or rbd://pool?conf=/etc/ceph/ceph.conf.")
    )
    credentials: str | None = Field(
        None, **at(3, "Credentials", "Name of a Prefect Secret block, or env:NAME; never the secret itself.")
    )
    endpoint: str | None = Field(None, **at(4, "Endpoint", "URL of an S3 server that isn't Amazon's."))
    sync_network: str | None = Field(
        None, **at(5, "Sync network", "CIDR; synchronisation leaves from an address in it.")
    )
    capacity_bytes: int | None = Field(
        None, **at(6, "Capacity", "Bytes this storage may use; default: the medium's size.", gt=0)
    )
    reserve_bytes: int = Field(1 << 30, **at(7, "Reserve", "Bytes always left free.", ge=0))
    bandwidth_bytes_s: int | None = Field(None, **at(8, "Bandwidth", BANDWIDTH, ge=1 << 16))


class SetImageStorageState(ChangingRequest):
    """Enable or disable an image storage."""

    name: str = Field(**at(0, "Name", "Name of the storage."))
    state: State = Field(**at(1, "State", "A disabled storage takes no new images."))


class AdoptStorage(ChangingRequest):
    """Rebuild the catalog's image rows from what an image storage says about itself."""

    image_storage: str = Field(**at(0, "Image Storage", "Name of the storage to adopt from."))


class RegisterPrimaryStorage(ChangingRequest):
    """Register a primary storage, where VMs and volumes live."""

    name: str = Field(**at(0, "Name", "Name of the storage."))
    kind: PrimaryKind = Field("local", **at(1, "Kind", "local (a directory) or ceph (RBD)."))
    url: str = Field(**at(2, "URL", "file:///dir or rbd://pool?conf=/etc/ceph/ceph.conf."))
    credentials: str | None = Field(
        None, **at(3, "Credentials", "Name of a Prefect Secret block, or env:NAME.")
    )


class CreateVolume(ChangingRequest):
    """Create a volume or VM disk from an image: downloaded once, cached, then an overlay or a clone."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    primary_storage: str = Field("default", **at(1, "Primary Storage", "Where the volume lives."))
    name: str = Field(**at(2, "Name", "Name of the volume."))
    size_bytes: int | None = Field(
        None, **at(3, "Size", "Bytes, at least the image's virtual size, which is the default.", gt=0)
    )


class DeleteVolume(ChangingRequest):
    """Delete a volume."""

    volume_id: str = Field(**at(0, "Volume", "Id of the volume."))


class CleanImageCache(ChangingRequest):
    """Drop cached images that no volume uses, least recently used first."""

    primary_storage: str = Field("default", **at(0, "Primary Storage", "Whose cache to clean."))
    budget_bytes: int | None = Field(
        None, **at(1, "Budget", "Bytes the cache may keep; default: drop only what is gone.", ge=0)
    )
