"""Managing an image that is there."""

from typing import Literal

from pydantic import Field

from catalog.records import BiosMode, ImageFormat, Platform, SharingMode
from flows.requests.form import ChangingRequest, ImagesRequest, Moment, Request, at

Clearable = Literal["description", "os", "family", "replaced_by", "expires_at"]


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
    expires_at: Moment | None = Field(
        None,
        **at(
            12,
            "Expires",
            "From then on the next purge puts it into the recycle bin, unless protected; UTC unless a zone is given.",
        ),
    )
    clear: tuple[Clearable, ...] = Field(
        (), **at(13, "Clear", "What is emptied: an input left empty leaves its field alone.")
    )


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


class BootCheck(Request):
    """Boot an image under QEMU in its declared mode and keep the screen."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    timeout_s: float = Field(120, **at(1, "Timeout", "Seconds to wait for a boot loader or kernel.", gt=0))
