"""Delete leftovers, the raw data kept on a source after a move, only after the new replica is proven again."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound, ImagewrightError, ReplicaInUse
from catalog.log import events
from catalog.records import Action, ItemOutcome, Leftover, Plan, ReclaimReport, Record
from catalog.rules.accounts.sharing import ADMIN, require_owner
from catalog.rules.storages.hosts import bound_to, does
from catalog.rules.storages.kinds import KINDS
from catalog.store.ballast import freeing_room
from storage.abilities import Clonable, Reclaimable
from storage.protocols import ImageStorage
from storage.replicas.copy import measure_reader, recorded, require_equal
from storage.replicas.source import held_bytes, reader_of
from tasks.replicas.readable import whole_replicas
from tasks.runtime.locks import image_lock
from tasks.runtime.resources import changing, known_image, open_image_storage, open_resources
from tasks.runtime.retries import POLICY, retrying
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

OPERATION = "clean up leftovers"


class LeftoverReview(Record):
    """Leftovers with the reason, if any, why each stays; the list that a person approves."""

    going: tuple[Leftover, ...] = ()
    kept: tuple[ItemOutcome, ...] = ()


@task(task_run_name="list leftovers", persist_result=True, cache_policy=POLICY, **retrying())
def review_leftovers(
    image_storage: str, leftover_ids: Sequence[str], account: str, host: str | None = None
) -> LeftoverReview:
    """Return which leftovers are unused, and why the others stay.

    image_storage: "" for every storage. host: only leftovers in its directories; None: all but those in other hosts'.

    Raises StorageNotFound; an id that is no leftover is kept, with that reason.
    """
    going: list[Leftover] = []
    kept: list[ItemOutcome] = []
    with open_resources() as (settings, catalog):
        if image_storage:
            catalog.image_storage(image_storage)
        theirs = {s.name for s in catalog.image_storages() if not does(bound_to(s), host, settings.host_name)}
        for found in _asked(catalog, image_storage, leftover_ids):
            if isinstance(found, Leftover) and found.image_storage in theirs:
                continue
            if isinstance(found, ItemOutcome):
                kept.append(found)
            elif reason := _in_the_way(catalog, found, account):
                kept.append(_item(found, "kept", reason))
            else:
                going.append(found)
    return LeftoverReview(going=tuple(going), kept=tuple(kept))


@task(task_run_name="clean up {leftover.location}", **retrying())
@freeing_room()
def delete_leftover(leftover: Leftover, account: str) -> ItemOutcome:
    """Prove the new replica again, check for users once more, then delete; keep what can't be deleted now.

    Safe to repeat.
    """
    try:
        with image_lock(leftover.image_id) as lease, open_resources() as (settings, catalog):
            if not any(found.id == leftover.id for found in catalog.leftovers(image_id=leftover.image_id)):
                return _item(leftover, "done", "it was gone already")
            if reason := _in_the_way(catalog, leftover, account):
                return _item(leftover, "kept", reason)
            _prove_moved(catalog, leftover)
            storage = open_image_storage(catalog.image_storage(leftover.image_storage), settings)
            freed = _held_bytes(storage, leftover)
            storage.delete(leftover.image_id)
            with changing(catalog, account, lease) as change:
                change.remove_leftover(leftover.id, event=events.LEFTOVER_CLEANED)
    except ImagewrightError as error:
        run_logger().warning("%s is kept: %s", leftover.location, error)
        return _item(leftover, "kept", str(error))
    return _item(leftover, "done", f"the image is whole on {leftover.moved_to}", freed)


@task(task_run_name="give space of {image_storage} back", **retrying())
def give_space_back(image_storage: str) -> ReclaimReport | None:
    """Free the chips that nothing needs any more; return None for a storage where the deletion freed the space."""
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(image_storage), settings)
        if KINDS[storage.kind].frees_on_delete or not isinstance(storage, Reclaimable):
            return None
        return storage.reclaim()


def plan_cleanup(weighed: LeftoverReview) -> Plan:
    """Return what a clean-up would delete and keep. Changes nothing."""
    actions = [
        Action(
            verb="delete leftover",
            subject=f"leftover:{left.id}",
            bytes=left.size_bytes,
            reason=f"{left.location} on {left.image_storage}; the image moved to {left.moved_to}, proven again first",
        )
        for left in weighed.going
    ]
    actions += [Action(verb="keep", subject=f"leftover:{i.subject}", reason=i.reason) for i in weighed.kept]
    summary = f"delete {len(weighed.going)} leftovers, keep {len(weighed.kept)}"
    return Plan(operation=OPERATION, actions=tuple(actions), summary=summary)


def _asked(catalog: "Catalog", image_storage: str, leftover_ids: Sequence[str]) -> Iterator[Leftover | ItemOutcome]:
    there = {found.id: found for found in catalog.leftovers(image_storage=image_storage or None)}
    for leftover_id in dict.fromkeys(leftover_ids) or there:
        reason = f"no such leftover on {image_storage or 'any image storage'}"
        yield there.get(leftover_id) or ItemOutcome(subject=leftover_id, outcome="kept", reason=reason)


def _in_the_way(catalog: "Catalog", leftover: Leftover, account: str) -> str:
    """Return why a leftover has to stay, "" if it has no known users."""
    try:
        _check_rights(catalog, leftover, account)
        users = _users(catalog, leftover)
    except ImagewrightError as error:
        return str(error)
    return f"still used by {', '.join(users)}" if users else ""


def _check_rights(catalog: "Catalog", leftover: Leftover, account: str) -> None:
    try:
        image = catalog.image(leftover.image_id)
    except ImageNotFound:
        if account == ADMIN:
            return
        raise
    require_owner(image, catalog.viewer(account), OPERATION)


def _users(catalog: "Catalog", leftover: Leftover) -> list[str]:
    """Return the users of a leftover: a new replica in its place, volumes backed by it, clones."""
    image_id, name = leftover.image_id, leftover.image_storage
    users = [f"the replica on {name}" for r in catalog.replicas(image_id) if r.image_storage == name]
    users += [f"volume {v.name}" for v in catalog.volumes(image_id=image_id) if leftover.location in v.backing]
    with open_resources() as (settings, _):
        storage = open_image_storage(catalog.image_storage(name), settings)
    if isinstance(storage, Clonable) and storage.contains(image_id):
        users += [f"clone {clone}" for clone in storage.clones(image_id)]
    return users


def _prove_moved(catalog: "Catalog", leftover: Leftover) -> None:
    """Read a live replica of the image in full and compare it with the catalog. Raises ReplicaInUse if there is none.

    An image expunged since needs no proof: its data are no longer wanted.
    """
    image = known_image(catalog, leftover.image_id)
    if image is None:
        return
    with open_resources() as (settings, _):
        for replica in whole_replicas(catalog, image.id):
            if replica.image_storage != leftover.image_storage:
                storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
                with reader_of(storage, image.id) as reader:
                    actual = measure_reader(reader)
                require_equal(f"{replica.location} on {storage.name}", recorded(replica) or actual, actual)
                return
    raise ReplicaInUse(image.id, leftover.image_storage, [f"image {image.name!r}, which has no other replica"])


def _held_bytes(storage: ImageStorage, leftover: Leftover) -> int:
    """Return the bytes that the deletion frees at once: 0 if they are freed by a reclaim."""
    if not KINDS[storage.kind].frees_on_delete or not storage.contains(leftover.image_id):
        return 0
    return held_bytes(storage, leftover.image_id)


def _item(leftover: Leftover, outcome: str, reason: str, size: int = 0) -> ItemOutcome:
    subject = f"{leftover.id} ({leftover.location} on {leftover.image_storage})"
    return ItemOutcome.model_validate({"subject": subject, "outcome": outcome, "bytes": size, "reason": reason})
