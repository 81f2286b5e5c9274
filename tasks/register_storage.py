"""Take an image storage into the catalog once it has answered."""

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import InvalidRequest, StorageNotFound
from catalog.records import Action, ImageStorage, Plan
from catalog.rules.naming import check_name
from storage.registry import place_of
from storage.sources import mask
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.retries import retrying

if TYPE_CHECKING:
    from catalog.reading import Reading


@task(task_run_name="check {fields[name]}", **retrying())
def plan_registration(fields: Mapping[str, object]) -> Plan:
    """Prove that the storage could be registered. Changes nothing in the catalog."""
    record = _record(fields)
    with open_resources() as (settings, catalog):
        room = open_image_storage(record, settings).capacity()
        _check_place(catalog, record)
    action = Action(
        verb="register", subject=f"image_storage:{record.name}", reason=f"{mask(record.url)} answers"
    )
    summary = (
        f"register {record.name} ({record.kind}) with {room.available_bytes} bytes free after the reserve"
    )
    return Plan(operation="register image storage", actions=(action,), summary=summary)


@task(task_run_name="register {fields[name]}", **retrying())
def register_storage(fields: Mapping[str, object], account: str) -> ImageStorage:
    """Save the storage's record. Raises InvalidRequest if its name or its place is taken by another storage."""
    record = _record(fields)
    with open_resources() as (settings, catalog):
        open_image_storage(record, settings).check()
        with catalog.changing(actor=account, run_id=run_id()) as change:
            _check_place(change, record)
            try:
                known = change.image_storage(record.name)
            except StorageNotFound:
                change.save_image_storage(record)
                return record
            if (known.kind, known.url) != (record.kind, record.url):
                raise InvalidRequest(
                    "name", record.name, f"a name of its own: it is {known.kind} at {mask(known.url)}"
                )
            updated = record.model_copy(update={"created_at": known.created_at, "state": known.state})
            change.save_image_storage(updated)
            return updated


def _record(fields: Mapping[str, object]) -> ImageStorage:
    record = ImageStorage.model_validate({**fields, "created_at": datetime.now(UTC)})
    check_name(record.name)
    _check_url(record)
    _check_network(record.sync_network)
    return record


def _check_url(record: ImageStorage) -> None:
    schemes = {"imagestore": ("file", "s3"), "ceph": ("rbd",)}[record.kind]
    if record.url.partition("://")[0] not in schemes:
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        raise InvalidRequest(
            "url", mask(record.url), f"an address that starts with {allowed} for kind {record.kind}"
        )


def _check_place(catalog: "Reading", record: ImageStorage) -> None:
    """Refuse a second name for one place: a move between the two would end with deleting its own result."""
    place = place_of(record)
    for other in catalog.image_storages():
        if other.name != record.name and place_of(other) == place:
            raise InvalidRequest("url", mask(record.url), f"a place of its own: it is that of {other.name!r}")


def _check_network(network: str | None) -> None:
    if network is None:
        return
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise InvalidRequest(
            "sync_network", network, "a network in CIDR notation, such as 10.1.0.0/16"
        ) from error
