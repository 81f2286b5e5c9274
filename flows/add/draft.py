"""From a request to the draft of the image that it asks for: read once, checked, and not yet recorded."""

from datetime import datetime
from uuid import UUID

from catalog.errors import InvalidRequest
from catalog.records import Image, ImageType
from catalog.rules.images.checksums import read_expected
from catalog.rules.images.draft import Draft, settled_draft
from flows.requests import AddSystemImage, AddVolumeImage
from storage.boot.machine import BOOTED
from storage.sources import carries_secret, mask, split_urls


def draft_image(request: AddSystemImage | AddVolumeImage, identity: str, now: datetime) -> Draft:
    """Return what a request asks for. Raises InvalidRequest for every rule of the form.

    identity: the id of an image whose request names none.
    """
    urls, identity = tuple(split_urls(request.image_path)), _identity(request.image_id or identity)
    image = _image(request, identity, now)
    expected = read_expected(request.expected_checksum)
    draft = Draft(
        image=image.model_copy(update={"expected_checksum": expected.shown(mask) if expected else None}),
        urls=urls,
        expected=expected,
        secret_in_url=any(map(carries_secret, urls)),
        credentials=request.credentials,
        boots=isinstance(request, AddSystemImage) and request.boot_check == "boots",
    )
    return settled_draft(draft, BOOTED)


def _image(request: AddSystemImage | AddVolumeImage, identity: str, now: datetime) -> Image:
    """Return the image as it was asked for, without the checksum that is expected of it."""
    kind: ImageType = "System" if isinstance(request, AddSystemImage) else "Volume"
    settings = _boot_settings(request) if isinstance(request, AddSystemImage) else {}
    image = Image(
        id=identity,
        name=request.name,
        description=request.description,
        image_type=kind,
        format=request.image_format,
        format_stored=request.image_format,
        source=mask(request.image_path),
        image_storages=tuple(dict.fromkeys(request.image_storages)),
        owner=request.account,
        family=request.family,
        build_version=request.version,
        labels=tuple(dict.fromkeys(request.labels)),
        parent=request.parent,
        created_at=now,
        updated_at=now,
    )
    return image.model_copy(update=settings)


def _boot_settings(request: AddSystemImage) -> dict[str, object]:
    return {
        "cpu_architecture": request.cpu_architecture,
        "platform": request.platform,
        "os": request.os,
        "virtio": request.virtio,
        "bios_mode": request.bios_mode if "bios_mode" in request.model_fields_set else None,
        "enable_csm": request.enable_csm,
        "elastic_baremetal": request.elastic_baremetal,
    }


def _identity(given: str) -> str:
    try:
        return str(UUID(given))
    except ValueError as error:
        raise InvalidRequest("image_id", given, "a UUID") from error
