"""Register a primary storage, or change its record, once it has answered."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from catalog.errors import InvalidRequest
from catalog.records import Action, Plan, PrimaryStorage
from catalog.rules.images.naming import check_name
from catalog.rules.storages.hosts import bound_to
from catalog.rules.storages.registering import (
    changed_fields,
    check_directory,
    registered,
    require_same_place,
    what_is_done,
)
from catalog.settings import Settings
from storage.sources import mask
from tasks.runtime.resources import changing, open_primary_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.setting import known_one
from tasks.runtime.task import task
from tasks.storages.hosts import share, with_host

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading


@task(task_run_name="check {fields[name]}", **retrying())
def plan_primary(fields: Mapping[str, object], kept: Collection[str] = ()) -> Plan:
    """Check that the primary storage can be registered, and return each field that would change. Changes nothing."""
    with open_resources() as (settings, catalog):
        known, record = _decided(catalog, settings, fields, kept)
        room = open_primary_storage(_to_be_tried(known, record), settings).capacity()
    subject = f"primary_storage:{record.name}"
    new = (Action(verb="register", subject=subject, reason=f"{mask(record.url)} answers"),)
    actions = changed_fields(known, record, subject) if known else new
    done = what_is_done(known, record, actions)
    summary = f"{done}, with {room.available_bytes} bytes free"
    return Plan(operation="register primary storage", actions=actions, summary=summary)


@task(task_run_name="register {fields[name]}", **retrying())
def register_primary(fields: Mapping[str, object], account: str, kept: Collection[str] = ()) -> PrimaryStorage:
    """Save the record. kept: fields that stay unchanged if the storage is already registered.

    Raises InvalidRequest if the name or the pool is taken.
    """
    with open_resources() as (settings, catalog):
        known, asked = _decided(catalog, settings, fields, kept)
        open_primary_storage(_to_be_tried(known, asked), settings).check()
        share(catalog, known, asked, account)
        with changing(catalog, account) as change:
            known, record = _decided(change, settings, fields, kept)  # the record may have changed during the check
            if record != known:
                change.save_primary_storage(record)
    return record


def _to_be_tried(known: PrimaryStorage | None, record: PrimaryStorage) -> PrimaryStorage:
    """Return the record with which to test whether a storage answers."""
    return record.model_copy(update={"shared": record.shared and bool(known and known.shared)})


def _decided(
    catalog: "Reading", settings: Settings, fields: Mapping[str, object], kept: Collection[str]
) -> tuple[PrimaryStorage | None, PrimaryStorage]:
    """Return the storage's present record, None for a new one, and its new record. Raises InvalidRequest."""
    check_name(str(fields["name"]))
    known = known_one(catalog.primary_storage, fields["name"])
    record = PrimaryStorage.model_validate({"created_at": catalog.now(), **registered(known, fields, kept)})
    record = with_host(record, settings)
    if known:
        require_same_place(known, record, mask(known.url))
    else:
        check_directory(record.url)
    _check_free(catalog, record)
    return known, record


def _check_free(catalog: "Reading", record: PrimaryStorage) -> None:
    """Refuse the place of an image storage: cleaning the cache must never delete a replica."""
    for other in catalog.image_storages():
        if None not in (hosts := (bound_to(other), bound_to(record))) and hosts[0] != hosts[1]:
            continue  # the same path on two hosts is two places
        if other.url.partition("?")[0] == record.url.partition("?")[0] and _conf(other.url) == _conf(record.url):
            raise InvalidRequest("url", mask(record.url), f"a place of its own: image storage {other.name!r} is there")


def _conf(url: str) -> str:
    from urllib.parse import parse_qs, urlsplit

    return parse_qs(urlsplit(url).query).get("conf", [""])[0]
