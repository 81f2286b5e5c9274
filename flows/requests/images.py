"""Managing an image that is there."""

from typing import Literal

from pydantic import Field

from catalog.records import BiosMode, BootStage, ImageFormat, Platform, SharingMode
from catalog.units import LONGEST_DAYS, LONGEST_S
from flows.registry import Cron, Present, operation
from flows.requests.form import ZONE, ChangingRequest, Id, ImageName, ImagesRequest, Moment, PatientRequest, Request, at

BOOT_UNTIL = (
    "boots: a boot loader or kernel shows itself; login: it asks for a login; cloud-init: cloud-init is done with a NoCloud seed; "
    "within Timeout."
)
BOOT_COMMAND = "With cloud-init: what its shell runs then, as root; it has to end with 0, and what it prints is kept."
EXPUNGED = "replicas marked Deleting: not recoverable, expunged again"
Clearable = Literal["description", "os", "family", "replaced_by", "expires_at"]


@operation(
    "flows.images.edit",
    rights="owner, admin",
    run="edit {image_id}",
    transition="edit",
    present=Present("image"),
    bytes_at="none",
)
class EditImage(ChangingRequest):
    """Edit an image: name, description, and system settings under the rules of the add form."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    name: ImageName | None = Field(None, **at(1, "Name", "New name."))
    description: str | None = Field(None, **at(2, "Description", "At most 2,048 characters."))
    os: str | None = Field(None, **at(3, "OS", "Operating system inside the image."))
    platform: Platform | None = Field(None, **at(4, "Platform", "Platform type."))
    virtio: bool | None = Field(None, **at(5, "VirtIO", "Attach VirtIO drivers."))
    bios_mode: BiosMode | None = Field(None, **at(6, "BIOS Mode", "Legacy or UEFI."))
    enable_csm: bool | None = Field(None, **at(7, "Enable CSM", "Only with UEFI on x86_64."))
    protected: bool | None = Field(None, **at(8, "Delete protection", "A protected image can't be deleted."))
    family: str | None = Field(None, **at(9, "Family", "Images of one family have a latest one."))
    deprecated: bool | None = Field(None, **at(10, "Deprecated", "Still usable, no longer the latest of its family."))
    replaced_by: Id | None = Field(None, **at(11, "Replaced by", "Id of the image to use instead."))
    expires_at: Moment | None = Field(
        None,
        **at(
            12,
            "Expires",
            f"From then on the next purge puts it into the recycle bin, unless protected; {ZONE}.",
        ),
    )
    clear: tuple[Clearable, ...] = Field(
        (), **at(13, "Clear", "What is emptied: an input left empty leaves its field alone.")
    )


@operation("flows.images.enable", rights="owner, admin", run="enable {image_ids}", transition="enable", bytes_at="none")
class EnableImage(ImagesRequest):
    """Enable disabled images; enabling a recalled image takes the recall back."""


@operation(
    "flows.images.enable", rights="owner, admin", run="disable {image_ids}", transition="disable", bytes_at="none"
)
class DisableImage(ImagesRequest):
    """Disable images: they make no new VM instance or volume; existing ones live on."""


@operation(
    "flows.images.export",
    rights="whoever sees the image",
    run="export {image_id}",
    transition="export",
    lock="`export:<image>`: the second waits and gets the first one's file",
    left="a hidden file that the next export of the image sweeps",
    bytes_at="a replica",
)
class ExportImage(PatientRequest):
    """Export an image: a complete file is made from a replica, with its own MD5."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    image_storage: str | None = Field(
        None, **at(1, "Image Storage", "Storage to export from; default: the first that holds the image.")
    )
    image_format: ImageFormat | None = Field(
        None, **at(2, "Image Format", "raw, qcow2 or vmdk; default: the stored format.")
    )


@operation(
    "flows.images.export",
    rights="owner, admin",
    run="delete exports of {image_id}",
    buttons=("export",),
    irreversible=True,
    lock="`export:<image>`",
    left="the export without its file, which is deleted again",
    queue="prompt",
    bytes_at="exports",
)
class DeleteExportedImage(ChangingRequest):
    """Delete an exported image: only the complete file goes; the image stays."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    image_storage: str | None = Field(None, **at(1, "Image Storage", "Only exports from this storage; default: all."))
    image_format: ImageFormat | None = Field(
        None, **at(2, "Image Format", "Only the export in this format; default: all formats.")
    )


@operation(
    "flows.images.share",
    rights="owner, admin",
    run="share {image_id}: {mode}",
    transition="set sharing mode",
    present=Present("image", {"mode": "sharing_mode", "accounts": "shared_accounts", "projects": "shared_projects"}),
    bytes_at="none",
)
class SetSharingMode(ChangingRequest):
    """Share an image globally, with chosen projects and accounts, or with nobody."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    mode: SharingMode = Field(**at(1, "Sharing Mode", "global, specified or none."))
    accounts: tuple[str, ...] = Field(
        (), **at(2, "Accounts", "Accounts that see the image, with mode specified.", only_with="mode=specified")
    )
    projects: tuple[str, ...] = Field(
        (), **at(3, "Projects", "Projects that see the image, with mode specified.", only_with="mode=specified")
    )


@operation(
    "flows.images.delete",
    rights="owner, admin",
    run="delete {image_ids}",
    transition="delete",
    lock="none: one transaction; of one still arriving the image's, taken when its run has ended",
    left="nothing or all of it; of one still arriving deferred work, visible as `imagewright pending`",
    bytes_at="none",
)
class DeleteImage(ImagesRequest):
    """Delete images: they go to the recycle bin; one that is still arriving is cancelled and vanishes."""


@operation(
    "flows.images.delete", rights="owner, admin", run="recover {image_ids}", transition="recover", bytes_at="none"
)
class RecoverImage(ImagesRequest):
    """Recover images from the recycle bin."""


@operation(
    "flows.images.expunge",
    rights="owner, admin",
    run="expunge {image_ids}",
    transition="expunge",
    irreversible=True,
    lock="the image's",
    left=EXPUNGED,
    queue="prompt",
    bytes_at="all of the image",
)
class ExpungeImage(ImagesRequest):
    """Expunge images from the recycle bin, with their exports. Can't be undone."""


@operation(
    "flows.images.boot_check",
    rights="whoever sees the image",
    run="boot {image_id}",
    lock="none",
    left="a copy in the scratch folder, which is swept",
    bytes_at="a replica",
)
class BootCheck(Request):
    """Boot an image under QEMU in its declared mode and keep the screen."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    timeout_s: float = Field(
        120, **at(1, "Timeout", "Seconds to wait for a boot loader or kernel.", gt=0, le=LONGEST_S)
    )
    until: BootStage = Field(
        "boots",
        **at(3, "Until", BOOT_UNTIL),
    )
    command: str = Field("", **at(4, "Command", BOOT_COMMAND, max_length=2048))
    disable_on_failure: bool = Field(
        False,
        **at(2, "Disable on failure", "Disable the image if it does not boot; only its owner or admin may."),
    )


@operation(
    "flows.images.expunge",
    rights="owner, admin",
    single=True,
    schedule=Cron("0 * * * *", "hourly"),
    buttons=("bin",),
    irreversible=True,
    lock="the image's",
    left=EXPUNGED,
    bytes_at="none",
)
class PurgeRecycleBin(ChangingRequest):
    """Expunge images whose retention in the recycle bin is over."""

    retention_days: float | None = Field(
        None, **at(0, "Retention", "Days in the recycle bin; default: the setting.", ge=0, le=LONGEST_DAYS)
    )
    policy: Literal["direct", "delay", "never"] | None = Field(
        None, **at(1, "Policy", "direct: at once; delay: after the retention; never; default: the setting.")
    )
