"""Register an image storage, or change its record, once it has answered."""

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from catalog.errors import InvalidRequest, ObjectMissing
from catalog.records import Action, ImageStorage, Plan
from catalog.rules.images.naming import check_name
from catalog.rules.storages.kinds import KINDS
from catalog.rules.storages.registering import (
    changed_fields,
    check_directory,
    check_no_secret,
    registered,
    require_same_place,
    what_is_done,
)
from catalog.settings import Settings
from storage.registry import place_of
from storage.sources import mask
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.setting import known_one
from tasks.runtime.task import task
from tasks.storages.hosts import share, with_host

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading


@task(task_run_name="check {fields[name]}", **retrying())
def plan_registration(fields: Mapping[str, object], kept: Collection[str] = ()) -> Plan:
    """Check that the storage can be registered, and return each field that would change. Changes nothing."""
    with open_resources() as (settings, catalog):
        known, record = _decided(catalog, settings, fields, kept)
        with _made(record):
            room = open_image_storage(_to_be_tried(known, record), settings).capacity()
    subject = f"image_storage:{record.name}"
    new = (Action(verb="register", subject=subject, reason=f"{mask(record.url)} answers"),)
    actions = changed_fields(known, record, subject) if known else new
    done = what_is_done(known, record, actions)
    summary = f"{done}, with {room.available_bytes} bytes free after the reserve"
    return Plan(operation="register image storage", actions=actions, summary=summary)


@task(task_run_name="register {fields[name]}", **retrying())
def register_storage(fields: Mapping[str, object], account: str, kept: Collection[str] = ()) -> ImageStorage:
    """Save the storage's record. kept: fields that stay unchanged if the storage is already registered.

    Raises InvalidRequest if another storage has its name or its place.
    """
    with open_resources() as (settings, catalog):
        known, asked = _decided(catalog, settings, fields, kept)
        with _made(asked):
            open_image_storage(_to_be_tried(known, asked), settings).check()
        share(catalog, known, asked, account)
        with changing(catalog, account) as change:
            known, record = _decided(change, settings, fields, kept)  # the record may have changed during the check
            after = record.model_copy(update={"connection": "Connected"})
            if after != known:
                change.save_image_storage(after)
    return after


def _to_be_tried(known: ImageStorage | None, record: ImageStorage) -> ImageStorage:
    """Return the record with which to test whether a storage answers: as if it were enabled."""
    return record.model_copy(update={"state": "Enabled", "shared": record.shared and bool(known and known.shared)})


@contextmanager
def _made(record: ImageStorage) -> Iterator[None]:
    """Raise InvalidRequest, naming the directory, if it can't be created."""
    try:
        yield
    except ObjectMissing as error:
        raise InvalidRequest("url", mask(record.url), "a directory that can be made here") from error


def _decided(
    catalog: "Reading", settings: Settings, fields: Mapping[str, object], kept: Collection[str]
) -> tuple[ImageStorage | None, ImageStorage]:
    """Return the storage's present record, None for a new one, and its new record. Raises InvalidRequest."""
    check_name(str(fields["name"]))
    known = known_one(catalog.image_storage, fields["name"])
    record = ImageStorage.model_validate({"created_at": catalog.now(), **registered(known, fields, kept)})
    record = with_host(record, settings)
    if known:
        require_same_place(known, record, mask(known.url))
    else:
        _check_url(record)
        check_directory(record.url)
        check_no_secret("url", record.url)
    check_no_secret("endpoint", record.endpoint)
    _check_network(record.sync_network)
    _check_place(catalog, record, settings.host_name)
    return known, record


def _check_url(record: ImageStorage) -> None:
    schemes = KINDS[record.kind].url_schemes
    if record.url.partition("://")[0] not in schemes:
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        raise InvalidRequest("url", mask(record.url), f"an address that starts with {allowed} for kind {record.kind}")


def _check_place(catalog: "Reading", record: ImageStorage, here: str) -> None:
    """Refuse a second name for the same place: a move between the two would delete its own result at the end."""
    place = place_of(record, here)
    for other in catalog.image_storages():
        if other.name != record.name and place_of(other, here) == place:
            raise InvalidRequest("url", mask(record.url), f"a place of its own: it is that of {other.name!r}")


def _check_network(network: str | None) -> None:
    if network is None:
        return
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise InvalidRequest("sync_network", network, "a network in CIDR notation, such as 10.1.0.0/16") from error
