"""Check image storages and primary storages: each answers, accepts a write and has room."""

import os
from collections.abc import Iterator

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import Capacity, ImageStorage, PrimaryStorage
from catalog.settings import Settings, secret_from_environment
from catalog.units import readable
from deployments.doctor.catalog_health import has_catalog
from deployments.doctor.examine import Examination, Finding, examined
from deployments.doctor.server_health import server_api

LIMIT_S = 6.0
LOCAL = "env:"


def storages_well(settings: Settings) -> Iterator[Finding]:
    """Report storages that are unavailable, refuse us or are full; each is checked separately."""
    if not has_catalog(settings):
        return
    with open_catalog(settings.catalog_address) as catalog:
        images, primaries = tuple(catalog.image_storages()), tuple(catalog.primary_storages())
        holding = {part.image_storage for part in catalog.figures().storages}
    asked: dict[str, Examination] = {}
    for record in images:
        asked[f"image storage {record.name}"] = _image(record, settings, holds=record.name in holding)
    for primary in primaries:
        asked[f"primary storage {primary.name}"] = _primary(primary, settings)
    if not images:
        sentence = "none is registered; `imagewright register-image-storage` adds one"
        yield Finding(check="image storages", ok=False, sentence=sentence)
    yield from examined(asked, LIMIT_S)


def _image(record: ImageStorage, settings: Settings, *, holds: bool) -> Examination:
    check = f"image storage {record.name}"

    def examine() -> Iterator[Finding]:
        from storage.registry import open_image_storage, require_present

        if record.state == "Disabled":
            yield Finding(check=check, ok=True, sentence="it is disabled, and not asked")
            return
        if holds:
            require_present(record, settings.host_name)
        storage = open_image_storage(record, settings=settings, credentials=_secret(record.credentials, settings))
        storage.check()
        yield _room(check, storage.capacity())

    return examine


def _primary(record: PrimaryStorage, settings: Settings) -> Examination:
    check = f"primary storage {record.name}"

    def examine() -> Iterator[Finding]:
        from storage.primary.registry import open_primary_storage

        storage = open_primary_storage(record, settings=settings, credentials=_secret(record.credentials, settings))
        storage.check()
        yield _room(check, storage.capacity())

    return examine


def _room(check: str, room: Capacity) -> Finding:
    free = readable(room.available_bytes)
    if room.available_bytes > 0:
        return Finding(check=check, ok=True, sentence=f"it answers and takes what is written; {free} are free")
    sentence = (
        "it is full, its reserve is all that is left; expunge images, `imagewright reclaim-space`, or give it more room"
    )
    return Finding(check=check, ok=False, sentence=sentence)


def _secret(name: str | None, settings: Settings) -> str | None:
    """Return a secret's text; a block is read by plain HTTP, as importing Prefect takes longer than all checks.

    Raises InvalidRequest.
    """
    if name is None:
        return None
    if name.startswith(LOCAL):
        return secret_from_environment(name.removeprefix(LOCAL))
    api = server_api(settings, os.environ)
    if api is None:
        raise InvalidRequest("credentials", name, "env:NAME, or a Prefect server that has this Secret block")
    with api:
        block = api.get(f"block_types/slug/secret/block_documents/name/{name}?include_secrets=true")
    if block is None:
        raise InvalidRequest("credentials", name, "the name of a Prefect Secret block or env:NAME")
    return str(block["data"]["value"])
