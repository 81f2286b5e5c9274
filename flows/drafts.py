"""From a request to the image it asks for: the rules of the add form, applied before anything is recorded."""

from datetime import datetime
from uuid import UUID

from catalog.errors import InvalidRequest
from catalog.records import Image
from catalog.rules.boot import check_system_image, settled_bios_mode
from catalog.rules.checksums import SUMS, check_expected_checksum
from catalog.rules.formats import media_of
from catalog.rules.naming import check_description, check_name
from catalog.rules.sources import check_credentials
from flows.requests import AddSystemImage, AddVolumeImage
from storage.sources import carries_secret, mask, split_urls


def draft_image(request: AddSystemImage | AddVolumeImage, identity: str, now: datetime) -> Image:
    """Return the image a request asks for, not yet recorded. Raises InvalidRequest for every rule of the form.

    identity: the id of an image whose request names none.
    """
    check_name(request.name)
    check_description(request.description)
    check_expected_checksum(request.expected_checksum)
    urls = split_urls(request.image_path)
    check_credentials(request.credentials, urls, secret_in_url=any(map(carries_secret, urls)))
    draft = Image(
        id=_identity(request.image_id or identity),
        name=request.name,
        description=request.description,
        image_type="Volume",
        format=request.image_format,
        format_stored=request.image_format,
        media="DataTemplate",
        source=mask(request.image_path),
        expected_checksum=_masked(request.expected_checksum),
        image_storages=_distinct(request.image_storages),
        owner=request.account,
        created_at=now,
        updated_at=now,
    )
    return _system_image(draft, request) if isinstance(request, AddSystemImage) else draft


def _system_image(draft: Image, request: AddSystemImage) -> Image:
    asked = request.bios_mode if "bios_mode" in request.model_fields_set else None
    system = draft.model_copy(
        update={
            "image_type": "System",
            "media": media_of("System", request.image_format),
            "cpu_architecture": request.cpu_architecture,
            "platform": request.platform,
            "os": request.os,
            "virtio": request.virtio,
            "bios_mode": settled_bios_mode(asked, request.cpu_architecture, request.elastic_baremetal),
            "enable_csm": request.enable_csm,
            "elastic_baremetal": request.elastic_baremetal,
        }
    )
    check_system_image(system)
    return system


def _identity(given: str) -> str:
    try:
        return str(UUID(given))
    except ValueError as error:
        raise InvalidRequest("image_id", given, "a UUID") from error


def _masked(checksum: str | None) -> str | None:
    """Hide the secrets in the URL of a list of checksums."""
    return checksum and (SUMS + mask(checksum.removeprefix(SUMS)) if checksum.startswith(SUMS) else checksum)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
