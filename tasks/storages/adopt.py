"""Rebuild the catalog's rows from the manifests of an image storage."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from catalog.errors import StorageUnavailable
from catalog.log import events
from catalog.records import Action, Image, ImageStatus, ItemOutcome, Plan, Replica
from catalog.rules.storages.drift import Held
from storage.abilities import Indexed
from tasks.runtime.resources import changing, known_image, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task
from tasks.storages.inventory import ENDED, inventory

if TYPE_CHECKING:
    from catalog.repository.change import Change
    from catalog.repository.reading.reading import Reading

OPERATION = "adopt storage"
REVIVED = {"version": 0, "status": ImageStatus.READY, "error": None, "deleted_at": None}
"""Fields of an adopted image that are not taken from its storage."""


@task(task_run_name="list what {image_storage} holds", **retrying())
def held_on(image_storage: str) -> tuple[Held, ...]:
    """Return the images that the storage itself says it holds. Raises StorageNotFound, StorageUnavailable."""
    with open_resources() as (settings, catalog):
        catalog.image_storage(image_storage)
        found = inventory(catalog, settings, image_storage)
    if found.unreachable:
        raise StorageUnavailable(image_storage, found.unreachable)
    return found.held


@task(task_run_name="restore the index of {image_storage}", **retrying())
def restore_index(image_storage: str) -> int:
    """Rebuild a storage's lost index entries, so that its images are readable; return how many packs the index lacked.

    Raises StorageNotFound, StorageUnavailable, StorageRefused.
    """
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(image_storage), settings)
        return storage.restore_index() if isinstance(storage, Indexed) else 0


@task(task_run_name="adopt images of {image_storage}", **retrying())
def adopt(image_storage: str, batch: Sequence[Held], account: str) -> tuple[ItemOutcome, ...]:
    """Adopt a batch into the catalog in one transaction; images it already knows stay unchanged."""
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        return tuple(_adopt(change, image_storage, held) for held in batch)


def _adopt(change: "Change", image_storage: str, held: Held) -> ItemOutcome:
    subject = f"image:{held.image_id}"
    decision = decided(change, image_storage, held)
    if held.image is None or held.replica is None or decision.outcome != "done":
        return decision
    if known_image(change, held.image_id) is None:
        change.save_image(_rebuilt(held.image, image_storage), event=events.IMAGE_ADOPTED)
    save_adopted(change, held.replica, image_storage)
    return ItemOutcome(subject=subject, outcome="done", bytes=held.replica.size_bytes, reason=decision.reason)


def save_adopted(change: "Change", replica: Replica, image_storage: str) -> None:
    """Save a replica as its storage describes it; the next verification proves it."""
    row = replica.model_copy(update={"image_storage": image_storage, "verified_at": None})
    change.save_replica(row, event=events.REPLICA_ADOPTED)


def decided(catalog: "Reading", image_storage: str, held: Held) -> ItemOutcome:
    """Return the outcome for an image on a storage, and why; `done` means it is adopted."""
    subject = f"image:{held.image_id}"
    if held.image is None or held.replica is None:
        return ItemOutcome(subject=subject, outcome="failed", reason=held.damage or "it is not described")
    if kept := _why_kept(catalog, image_storage, held.image_id):
        return ItemOutcome(subject=subject, outcome="kept", reason=kept)
    known = known_image(catalog, held.image_id)
    if known is None:
        return ItemOutcome(subject=subject, outcome="done", reason=f"image {held.image.name!r} and its replica")
    if differs := _other_file(known, held.image, held.replica):
        return ItemOutcome(subject=subject, outcome="failed", reason=differs)
    return ItemOutcome(subject=subject, outcome="done", reason="one more replica of an image that is known")


def _why_kept(catalog: "Reading", image_storage: str, image_id: str) -> str:
    if any(catalog.replicas(image_id, image_storage=image_storage)):
        return "the catalog knows this replica"
    if any(catalog.leftovers(image_storage=image_storage, image_id=image_id)):
        return "it is a leftover of a move"
    if any(catalog.pending(image_id=image_id)):
        return "it waits to be deleted"
    if any(event.kind in ENDED for event in catalog.events(image_id)):
        return "it was expunged; reconciling deletes it"
    return ""


def _other_file(known: Image, found: Image, replica: Replica) -> str:
    if known.sha256 == found.sha256:
        return ""
    return f"image {known.id} is sha256:{known.sha256}, but {replica.location} was made from sha256:{found.sha256}"


def _rebuilt(image: Image, image_storage: str) -> Image:
    """Return the image as it was published here, Ready; later edits are not on the storage."""
    return image.model_copy(update={**REVIVED, "image_storages": (image_storage,)})


@task(task_run_name="plan to adopt {image_storage}", **retrying())
def plan_adopt(image_storage: str, held: Sequence[Held]) -> Plan:
    """Return what would be adopted. Changes nothing."""
    verbs = {"done": "adopt", "kept": "keep", "failed": "refuse"}
    with open_resources() as (_, catalog):
        decisions = [decided(catalog, image_storage, one) for one in held]
    actions = tuple(
        Action(verb=verbs[one.outcome], subject=one.subject, reason=one.reason)
        for one in decisions
        if one.outcome in verbs
    )
    new = sum(one.outcome == "done" for one in decisions)
    return Plan(operation=OPERATION, actions=actions, summary=f"adopt {new} of {len(held)} images on {image_storage}")
