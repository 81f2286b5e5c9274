"""What people ask for: one frozen model per flow, in the words and the order of the user guide.

Each model is the form in the Prefect UI, the body of `prefect deployment run`, the options of the command and the
argument of the Python call. Fields carry `title`, `description` and `position`; the rules live in `catalog.rules`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from catalog.records import (
    Architecture,
    BiosMode,
    ImageFormat,
    Platform,
    PrimaryKind,
    SharingMode,
    State,
    StorageKind,
)

SystemFormat = Literal["qcow2", "iso", "raw", "vmdk"]
VolumeFormat = Literal["qcow2", "raw", "vmdk"]
Account = "Account that acts; it owns what it adds and sees what is shared with it."
PlanOnly = "Show what would happen (bytes to move, space, quota) and change nothing."


def at(position: int, title: str, description: str, **extra: Any) -> dict[str, Any]:
    """Return the keyword arguments that place a field in the Prefect form."""
    return {"title": title, "description": description, "json_schema_extra": {"position": position}, **extra}


class Request(BaseModel):
    """What all requests share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field("admin", **at(90, "Account", Account))


class ChangingRequest(Request):
    """A request that changes something, and can be asked what it would change."""

    plan_only: bool = Field(False, **at(91, "Plan only", PlanOnly))


class AddSystemImage(ChangingRequest):
    """Add a system image: it contains an OS and boots VM instances."""

    name: str = Field(
        **at(
            0,
            "Name",
            "1 to 128 characters: Chinese characters, letters, digits, spaces and - _ . ( ) : +, "
            "with no space at either end.",
        )
    )
    description: str = Field("", **at(1, "Description", "Optional; at most 2,048 characters."))
    image_format: SystemFormat = Field(
        "qcow2",
        **at(
            2,
            "Image Format",
            "Format of the file. vmdk is kept as qcow2 on an "
            "ImageStore and as raw on Ceph; the bytes are checked against this.",
        ),
    )
    cpu_architecture: Architecture = Field(
        "x86_64",
        **at(
            3,
            "CPU Architecture",
            "VM instances made from the image use it. "
            "aarch64, mips64el and loongarch64 always boot in UEFI mode.",
        ),
    )
    platform: Platform = Field("Linux", **at(4, "Platform", "Decides how VirtIO drivers are used."))
    os: str = Field(
        "",
        **at(
            5,
            "OS",
            "Operating system inside the image, such as Debian 12, CentOS 7.6 or Windows Server 2019.",
        ),
    )
    virtio: bool = Field(
        True, **at(6, "VirtIO", "Attach VirtIO disk and network drivers; otherwise QEMU devices are used.")
    )
    image_storages: tuple[str, ...] = Field(
        ("default",),
        **at(
            7,
            "Image Storage",
            "Names of the image storages that keep the image; it is Ready when all of them hold it.",
            min_length=1,
        ),
    )
    image_path: str = Field(
        **at(
            8,
            "Image Path",
            "URL of the file: http(s)://host[:port]/path/file, "
            "ftp://[user:password@]host/path/file, sftp://user[:password]@host/path/file, s3://bucket/key, "
            "or file:///path/file on the image storage's own host (ImageStore only). "
            "A password can be given as {secret:NAME} to keep it out of the run's parameters.",
        )
    )
    expected_checksum: str | None = Field(
        None,
        **at(
            9,
            "Expected checksum",
            "Optional: md5:…, sha1:…, sha256:… or sha512:… as "
            "published by the source, or sums:<URL> of a SHA256SUMS-style file. "
            "A mismatch fails the add and keeps nothing.",
        ),
    )
    bios_mode: BiosMode | None = Field(
        None,
        **at(
            10,
            "BIOS Mode",
            "Legacy supports all operating systems and is the default; "
            "UEFI is required for aarch64, mips64el and loongarch64. For qcow2 and raw, "
            "take the mode used when the image was made; an ISO accepts both.",
        ),
    )
    enable_csm: bool = Field(
        False,
        **at(
            11,
            "Enable CSM",
            "For operating systems that support UEFI only in part: required "
            "for Windows 7 and Windows Server 2008 R2 in UEFI mode; only with UEFI on x86_64.",
        ),
    )
    elastic_baremetal: bool = Field(
        False,
        **at(
            12,
            "Support Elastic Baremetal Instance",
            "The image has the agent installed and "
            "may create elastic bare-metal instances (raw or qcow2; default UEFI).",
        ),
    )
    image_id: str | None = Field(
        None, **at(13, "Image id", "UUID; give it to resume an add that broke off, or to make it idempotent.")
    )


class AddVolumeImage(ChangingRequest):
    """Add a volume image: it contains only data and creates volumes."""

    name: str = Field(
        **at(
            0,
            "Name",
            "1 to 128 characters: Chinese characters, letters, digits, spaces and - _ . ( ) : +, "
            "with no space at either end.",
        )
    )
    description: str = Field("", **at(1, "Description", "Optional; at most 2,048 characters."))
    image_format: VolumeFormat = Field(
        "qcow2",
        **at(
            2,
            "Image Format",
            "Format of the file. vmdk is kept as qcow2 on an "
            "ImageStore and as raw on Ceph; the bytes are checked against this.",
        ),
    )
    image_storages: tuple[str, ...] = Field(
        ("default",),
        **at(
            3,
            "Image Storage",
            "Names of the image storages that keep the image; it is Ready when all of them hold it.",
            min_length=1,
        ),
    )
    image_path: str = Field(
        **at(4, "Image Path", "URL of the file: http(s)://, ftp://, sftp://, s3:// or file:///path/file.")
    )
    expected_checksum: str | None = Field(
        None,
        **at(
            5,
            "Expected checksum",
            "Optional: md5:…, sha1:…, sha256:… or sha512:…, "
            "or sums:<URL>; a mismatch fails the add and keeps nothing.",
        ),
    )
    image_id: str | None = Field(
        None, **at(6, "Image id", "UUID; give it to resume an add that broke off, or to make it idempotent.")
    )


class ImagesRequest(ChangingRequest):
    """A request about one or several images."""

    image_ids: tuple[str, ...] = Field(
        **at(0, "Images", "Ids of the images; one bad id never stops the others.", min_length=1)
    )


class EditImage(ChangingRequest):
    """Edit an image: name, description, and system settings under the rules of the add form."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    name: str | None = Field(None, **at(1, "Name", "New name; left alone where empty."))
    description: str | None = Field(None, **at(2, "Description", "New description; left alone where empty."))
    os: str | None = Field(None, **at(3, "OS", "Operating system inside the image."))
    platform: Platform | None = Field(None, **at(4, "Platform", "Platform type."))
    virtio: bool | None = Field(None, **at(5, "VirtIO", "Attach VirtIO drivers."))
    bios_mode: BiosMode | None = Field(None, **at(6, "BIOS Mode", "Legacy or UEFI."))
    enable_csm: bool | None = Field(None, **at(7, "Enable CSM", "Only with UEFI on x86_64."))
    protected: bool | None = Field(None, **at(8, "Delete protection", "A protected image can't be deleted."))
    family: str | None = Field(None, **at(9, "Family", "Images of one family have a latest one."))
    deprecated: bool | None = Field(
        None, **at(10, "Deprecated", "Still usable, no longer the latest of its family.")
    )
    replaced_by: str | None = Field(None, **at(11, "Replaced by", "Id of the image to use instead."))


class EnableImage(ImagesRequest):
    """Enable disabled images."""


class DisableImage(ImagesRequest):
    """Disable images: they make no new VM instance or volume; existing ones live on."""


class ExportImage(ChangingRequest):
    """Export an image: a complete file is made from a replica, with its own MD5."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    image_storage: str | None = Field(
        None, **at(1, "Image Storage", "Storage to export from; default: the first that holds the image.")
    )
    image_format: ImageFormat | None = Field(
        None, **at(2, "Image Format", "raw, qcow2 or vmdk; default: the stored format.")
    )


class DeleteExportedImage(ChangingRequest):
    """Delete an exported image: only the complete file goes; the image stays."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    image_storage: str | None = Field(
        None, **at(1, "Image Storage", "Only exports from this storage; default: all.")
    )


class SyncImages(ChangingRequest):
    """Synchronise images from one ImageStore to another; only chips that the target lacks travel."""

    source: str = Field(**at(0, "Source", "Name of the ImageStore to read from."))
    target: str = Field(**at(1, "Target", "Name of the ImageStore to bring up to date."))
    image_ids: tuple[str, ...] = Field(
        (), **at(2, "Images", "Ids of the images; empty: all that match the name pattern.")
    )
    name_pattern: str = Field("*", **at(3, "Name pattern", "Shell pattern of image names, such as debian-*."))


class ChangeImageStorage(ChangingRequest):
    """Move an image to another image storage; the raw data stays on the source as a leftover until cleaned up."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    source: str = Field(**at(1, "Source", "Image storage that holds it now."))
    target: str = Field(**at(2, "Target", "Image storage that shall hold it."))


class CleanUpLeftovers(ChangingRequest):
    """Clean up raw data kept on a source after a change of storage. Can't be undone."""

    image_storage: str = Field(**at(0, "Image Storage", "Storage whose leftovers are cleaned up."))
    leftover_ids: tuple[str, ...] = Field((), **at(1, "Leftovers", "Ids; empty: all of that storage."))
    approve: Literal["ask", "yes"] = Field(
        "ask", **at(2, "Approve", "ask: the run waits for a person; yes: go ahead.")
    )


class SetSharingMode(ChangingRequest):
    """Share an image globally, with chosen projects and accounts, or with nobody."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    mode: SharingMode = Field(**at(1, "Sharing Mode", "global, specified or none."))
    accounts: tuple[str, ...] = Field(
        (), **at(2, "Accounts", "With mode specified: accounts that see the image.")
    )
    projects: tuple[str, ...] = Field(
        (), **at(3, "Projects", "With mode specified: projects that see the image.")
    )


class DeleteImage(ImagesRequest):
    """Delete images: they go to the recycle bin."""


class RecoverImage(ImagesRequest):
    """Recover images from the recycle bin."""


class ExpungeImage(ImagesRequest):
    """Expunge images from the recycle bin, with their exports. Can't be undone."""


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


class SetImageStorageState(ChangingRequest):
    """Enable or disable an image storage."""

    name: str = Field(**at(0, "Name", "Name of the storage."))
    state: State = Field(**at(1, "State", "A disabled storage takes no new images."))


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


class PurgeRecycleBin(ChangingRequest):
    """Expunge what outlived its retention."""

    retention_days: float | None = Field(
        None, **at(0, "Retention", "Days in the recycle bin; default: the setting.", ge=0)
    )
    policy: Literal["direct", "delay", "never"] | None = Field(
        None, **at(1, "Policy", "direct: at once; delay: after the retention; never; default: the setting.")
    )


class ReclaimSpace(ChangingRequest):
    """Delete chips that no image, recycle bin or landing needs."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: every ImageStore."))


class VerifyReplicas(ChangingRequest):
    """Read and prove stored chips, oldest proof first; repair damage from other replicas."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))
    image_ids: tuple[str, ...] = Field((), **at(1, "Images", "Ids; empty: all."))
    budget_bytes: int | None = Field(
        None, **at(2, "Budget", "Bytes to read in this run; default: everything due.", gt=0)
    )
    bytes_per_second: int = Field(0, **at(3, "Rate", "Cap on reading, bytes per second; 0: none.", ge=0))


class ReconcileStorages(ChangingRequest):
    """Compare catalog and storages both ways and mend the differences."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))


class AdoptStorage(ChangingRequest):
    """Rebuild the catalog's image rows from what an image storage says about itself."""

    image_storage: str = Field(**at(0, "Image Storage", "Name of the storage to adopt from."))


class CheckQuality(ChangingRequest):
    """Check the whole catalog's data quality."""

    rescan: bool = Field(
        False,
        **at(
            0,
            "Rescan",
            "Inspect stored images again with the present rules and disable what no longer passes.",
        ),
    )


class RecoverRuns(ChangingRequest):
    """Find runs whose worker died and start them again, at most three times; end what can't go on."""

    stale_after_s: float = Field(120, **at(0, "Stale after", "Seconds without a heartbeat.", ge=0))


class BootCheck(Request):
    """Boot an image under QEMU in its declared mode and keep the screen."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    timeout_s: float = Field(120, **at(1, "Timeout", "Seconds to wait for a boot loader or kernel.", gt=0))
