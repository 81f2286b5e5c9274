"""Take a primary storage into the catalog once it has answered."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import InvalidRequest, PrimaryStorageNotFound
from catalog.records import Action, Plan, PrimaryStorage
from catalog.rules.naming import check_name
from storage.sources import mask
from tasks.changing import now
from tasks.resources import open_primary_storage, open_resources, run_id
from tasks.retries import retrying

if TYPE_CHECKING:
    from catalog.reading import Reading


@task(task_run_name="check {fields[name]}", **retrying())
def plan_primary(fields: Mapping[str, object]) -> Plan:
    """Prove that the primary storage could be registered. Changes nothing in the catalog."""
    record = _record(fields)
    with open_resources() as (settings, catalog):
        _check_free(catalog, record)
        room = open_primary_storage(record, settings).capacity()
    action = Action(
        verb="register", subject=f"primary_storage:{record.name}", reason=f"{mask(record.url)} answers"
    )
    summary = f"register {record.name} ({record.kind}) with {room.available_bytes} bytes free"
    return Plan(operation="register primary storage", actions=(action,), summary=summary)


@task(task_run_name="register {fields[name]}", **retrying())
def register_primary(fields: Mapping[str, object], account: str) -> PrimaryStorage:
    """Save the record. Registering the same again is a no-op. Raises InvalidRequest if name or pool are taken."""
    record = _record(fields)
    with open_resources() as (settings, catalog):
        open_primary_storage(record, settings).check()
        with catalog.changing(actor=account, run_id=run_id()) as change:
            _check_free(change, record)
            try:
                known = change.primary_storage(record.name)
            except PrimaryStorageNotFound:
                known = record
            if (known.kind, known.url) != (record.kind, record.url):
                raise InvalidRequest(
                    "name", record.name, f"a name of its own: it is {known.kind} at {mask(known.url)}"
                )
            updated = record.model_copy(update={"created_at": known.created_at})
            change.save_primary_storage(updated)
    return updated


def _record(fields: Mapping[str, object]) -> PrimaryStorage:
    record = PrimaryStorage.model_validate({**fields, "created_at": now()})
    check_name(record.name)
    return record


def _check_free(catalog: "Reading", record: PrimaryStorage) -> None:
    """Refuse the place of an image storage: a cleaned cache must never take a replica with it."""
    for other in catalog.image_storages():
        if other.url.partition("?")[0] == record.url.partition("?")[0] and _conf(other.url) == _conf(
            record.url
        ):
            raise InvalidRequest(
                "url", mask(record.url), f"a place of its own: image storage {other.name!r} is there"
            )


def _conf(url: str) -> str:
    from urllib.parse import parse_qs, urlsplit

    return parse_qs(urlsplit(url).query).get("conf", [""])[0]
