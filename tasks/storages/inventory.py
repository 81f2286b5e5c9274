"""Take inventory: compare each storage's contents with the catalog."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyrsistent import pmap

from catalog.errors import DigestMismatch, ImagewrightError, StorageRefused
from catalog.log import events
from catalog.records import ImageStatus
from catalog.rules.storages.drift import (
    Broken,
    Drift,
    Held,
    Inventory,
    Known,
    export_drift,
    image_drift,
    storage_drift,
)
from catalog.settings import Settings
from storage.abilities import Repairable, Surveyed
from storage.protocols import ImageStorage
from tasks.replicas.landings import is_needed
from tasks.runtime.export_places import export_places, is_here
from tasks.runtime.holders import is_busy
from tasks.runtime.locks import export_lock
from tasks.runtime.resources import known_image, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

ENDED = (events.IMAGE_EXPUNGED, events.IMAGE_CANCELLED)
PLACING = ("restore replica", "adopt replica", "adopt image", "distrust replica")


@task(task_run_name="take stock", **retrying())
def take_stock(image_storages: Sequence[str]) -> tuple[Drift, ...]:
    """Return the drifts between catalog and storages.

    A storage that does not answer is one drift and evidence of no other.
    """
    with open_resources() as (settings, catalog):
        drifts: list[Drift] = []
        for name in image_storages:
            found = inventory(catalog, settings, name)
            drifts += storage_drift(_known(catalog, found), found)
        drifts += _images(catalog, drifts)
        drifts += _exports(catalog, settings)
    return tuple(drifts)


def inventory(catalog: "Catalog", settings: Settings, name: str) -> Inventory:
    """Return the inventory of a storage."""
    try:
        storage = open_image_storage(catalog.image_storage(name), settings)
        storage.check()
        landings = [i.landing_id for i in storage.landings() if not is_needed(catalog, name, i.landing_id)]
        broken = tuple(storage.ailments()) if isinstance(storage, Repairable) else ()
        lost = {image_id: one.damage for one in broken for image_id in one.images}
        return Inventory(
            image_storage=name,
            held=tuple(_with_damage(one, lost) for one in _held(storage)),
            landings=tuple(landings),
            broken=tuple(Broken(subject=b.subject, damage=b.damage, cure=b.cure) for b in broken),
        )
    except ImagewrightError as error:
        return Inventory(image_storage=name, unreachable=str(error))


def _with_damage(held: Held, lost: Mapping[str, str]) -> Held:
    damage = lost.get(held.image_id)
    return held if damage is None or held.damage else held.model_copy(update={"damage": damage})


def _held(storage: ImageStorage) -> Iterator[Held]:
    if not isinstance(storage, Surveyed):
        for stored in storage.images():
            yield Held(image_id=stored.image.id, image=stored.image, replica=stored.replica)
        return
    for image_id, found in storage.described_images():
        if isinstance(found, DigestMismatch):  # one failure must not hide the other drifts
            yield Held(image_id=image_id, damage=str(found))
        elif isinstance(found, StorageRefused):
            raise found
        else:
            yield Held(image_id=image_id, image=found.image, replica=found.replica)


def _known(catalog: "Catalog", found: Inventory) -> Known:
    name = found.image_storage
    replicas = {r.image_id: r for r in catalog.replicas(image_storage=name)}
    leftovers = {left.image_id: left for left in catalog.leftovers(image_storage=name)}
    ids = {*replicas, *leftovers, *(one.image_id for one in found.held)}
    images = {image_id: image for image_id in ids if (image := known_image(catalog, image_id)) is not None}
    return Known(
        storage=catalog.image_storage(name),
        replicas=pmap(replicas),
        leftovers=pmap(leftovers),
        images=pmap(images),
        busy=frozenset(i for i in ids if is_busy(catalog, i)),
        gone=frozenset(i for i in ids if i not in images and _ended(catalog, i)),
    )


def _ended(catalog: "Catalog", image_id: str) -> bool:
    return any(event.kind in ENDED for event in catalog.events(image_id))


def _images(catalog: "Catalog", drifts: Sequence[Drift]) -> tuple[Drift, ...]:
    placed = {r.image_id for r in catalog.replicas()} | {d.subject for d in drifts if d.verb in PLACING}
    images = list(catalog.images(status=(ImageStatus.MIGRATING, ImageStatus.READY)))
    suspects = [i for i in images if i.status is ImageStatus.MIGRATING or i.id not in placed]
    return image_drift(suspects, placed, {i.id for i in suspects if is_busy(catalog, i.id)})


def _exports(catalog: "Catalog", settings: Settings) -> tuple[Drift, ...]:
    exports = [export for export in catalog.exports() if is_here(catalog, settings, export)]
    drifts: list[Drift] = []
    for place in export_places(catalog, settings):
        found = place.folder.glob("*/*") if place.folder.is_dir() else ()
        files = {str(path) for path in found if _is_export(catalog, path)}
        drifts += export_drift(exports, files, f"{place.folder}/")
    return tuple(drifts)


def _is_export(catalog: "Catalog", path: Path) -> bool:
    """Tell whether a file is a finished export: not hidden, and no run is making or deleting exports of its image."""
    image_id = path.parent.name
    busy = is_busy(catalog, image_id) or is_busy(catalog, export_lock(image_id))
    return path.is_file() and not path.name.startswith(".") and not busy
