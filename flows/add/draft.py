"""From a request to the draft of the image that it asks for: read once, checked, and not yet recorded."""

from datetime import datetime
from uuid import UUID

from catalog.errors import InvalidRequest
from catalog.records import Image, ImageType
from catalog.rules.images.boot import settled_bios_mode
from catalog.rules.images.checksums import Checksum, ChecksumList, read_expected
from catalog.rules.images.draft import Draft, check_draft
from catalog.rules.images.formats import media_of
from flows.requests import AddSystemImage, AddVolumeImage
from storage.boot.machine import BOOTED
from storage.sources import carries_secret, mask, split_urls


def draft_image(request: AddSystemImage | AddVolumeImage, identity: str, now: datetime) -> Draft:
    """Return what a request asks for. Raises InvalidRequest for every rule of the form.

    identity: the id of an image whose request names none.
    """
    urls = tuple(split_urls(request.image_path))
    expected = read_expected(request.expected_checksum)
    image = _image(request, identity, now, _masked(expected))
    if isinstance(request, AddSystemImage):
        image = image.model_copy(update=_boot_settings(request))
    draft = Draft(
        image=image,
        urls=urls,
        expected=expected,
        secret_in_url=any(map(carries_secret, urls)),
        credentials=request.credentials,
        boots=isinstance(request, AddSystemImage) and request.boot_check == "boots",
    )
    check_draft(draft, BOOTED)
    return draft


def _image(request: AddSystemImage | AddVolumeImage, identity: str, now: datetime, checksum: str | None) -> Image:
    """Return the image as far as both kinds have the same fields. checksum: what is expected, without secrets."""
    kind: ImageType = "System" if isinstance(request, AddSystemImage) else "Volume"
    return Image(
        id=_identity(request.image_id or identity),
        name=request.name,
        description=request.description,
        image_type=kind,
        format=request.image_format,
        format_stored=request.image_format,
        media=media_of(kind, request.image_format),
        source=mask(request.image_path),
        expected_checksum=checksum,
        image_storages=tuple(dict.fromkeys(request.image_storages)),
        owner=request.account,
        family=request.family,
        build_version=request.version,
        labels=tuple(dict.fromkeys(request.labels)),
        parent=request.parent,
        created_at=now,
        updated_at=now,
    )


def _boot_settings(request: AddSystemImage) -> dict[str, object]:
    asked = request.bios_mode if "bios_mode" in request.model_fields_set else None
    return {
        "cpu_architecture": request.cpu_architecture,
        "platform": request.platform,
        "os": request.os,
        "virtio": request.virtio,
        "bios_mode": settled_bios_mode(asked, request.cpu_architecture, request.elastic_baremetal),
        "enable_csm": request.enable_csm,
        "elastic_baremetal": request.elastic_baremetal,
    }


def _identity(given: str) -> str:
    try:
        return str(UUID(given))
    except ValueError as error:
        raise InvalidRequest("image_id", given, "a UUID") from error


def _masked(expected: Checksum | ChecksumList | None) -> str | None:
    """Return what the image keeps: the address of a list without its secrets."""
    if isinstance(expected, ChecksumList):
        return str(ChecksumList(url=mask(expected.url)))
    return None if expected is None else str(expected)
