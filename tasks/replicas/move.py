"""Move an image to another storage: the source stays as it is until the copy is proven and the catalog has switched."""

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from catalog.errors import DigestMismatch, ImageNotFound, ImagewrightError, InvalidRequest, StaleLanding
from catalog.log import events
from catalog.records import Action, Image, ItemOutcome, Lease, Leftover, Plan, Record, Replica
from catalog.rules.accounts.quotas import check_capacity
from catalog.rules.accounts.sharing import require_owner
from catalog.rules.images.transitions import status_after
from catalog.rules.storages.kinds import KINDS
from catalog.settings import Settings
from storage.protocols import ImageStorage
from storage.replicas.copy import Copied, copy_replica, prove, recorded, wanted_format
from storage.replicas.source import held_bytes, reader_of
from storage.transfer.bandwidth import pace_into
from tasks.replicas.readable import whole_replicas
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import POLICY, retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.runs.progress import progress
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change

OPERATION = "change image storage"


class Move(Record):
    """A checked move. replica: on the source, None if the move was done before."""

    image_id: str
    name: str
    owner: str
    source: str
    target: str
    replica: Replica | None = None

    @property
    def landing_id(self) -> str:
        """The landing of the copy."""
        return f"{self.image_id}.move"


@task(task_run_name="check move of {image_id}", **retrying())
def check_move(image_id: str, source: str, target: str, account: str) -> Move:
    """Check a move against the rules and both storages, and return it. Changes nothing.

    Raises ImageNotFound, AccessDenied, IllegalTransition, InvalidRequest, StorageRefused, StorageUnavailable.
    """
    with open_resources() as (settings, catalog):
        image = catalog.image(image_id, account=account)
        require_owner(image, catalog.viewer(account), OPERATION)
        if source == target:
            raise InvalidRequest("target", target, "another image storage than the source")
        places = [open_image_storage(catalog.image_storage(name), settings) for name in (source, target)]
        move = Move(image_id=image.id, name=image.name, owner=image.owner, source=source, target=target)
        if _done_before(catalog, move):
            return move
        status_after(image, OPERATION)
        replica = _replica_to_move(catalog, image, source)
        _check_target(catalog, image, target)
        for place in places:
            place.check()
        _check_room(catalog, places[0], places[1], replica)
    return move.model_copy(update={"replica": replica})


@task(task_run_name="plan move of {move.name}", **retrying())
def plan_move(move: Move) -> Plan:
    """Return what a move would copy. Changes nothing."""
    if move.replica is None:
        return Plan(operation=OPERATION, summary=f"{move.image_id} is on {move.target} already")
    with open_resources() as (settings, catalog):
        wanted = wanted_format(open_image_storage(catalog.image_storage(move.target), settings), move.replica)
    subject, size = f"image:{move.image_id}", move.replica.size_bytes
    how = "bit for bit" if wanted == move.replica.format else f"as {wanted}"
    actions = (
        Action(verb="copy", subject=subject, bytes=size, reason=f"from {move.source} to {move.target}, {how}"),
        Action(verb="read back", subject=subject, bytes=size, reason="size and digests must be the catalog's"),
        Action(verb="keep leftover", subject=f"replica:{move.image_id}@{move.source}", bytes=size,
               reason="the raw data stays on the source until it is cleaned up"),
    )  # fmt: skip
    summary = f"move {move.name} from {move.source} to {move.target}, {how}"
    return Plan(operation=OPERATION, actions=actions, bytes_to_move=size, summary=summary)


@task(task_run_name="begin move of {move.name}", **retrying())
def begin_move(move: Move, lease: Lease) -> Image:
    """Mark the image Migrating; it stays usable on the source. Raises StaleImage, IllegalTransition."""
    with open_resources() as (_, catalog), changing(catalog, move.owner, lease) as change:
        image = change.image(move.image_id)
        after = status_after(image, OPERATION)
        return change.save_image(image.model_copy(update={"status": after}), event=events.IMAGE_MOVING)


@task(task_run_name="copy {move.name} to {move.target}", persist_result=True, cache_policy=POLICY, **retrying())
def copy_image(move: Move) -> Copied:
    """Copy the image to the target and return the proven copy.

    Raises DigestMismatch, CapacityExceeded and the errors of both storages.
    """
    replica = move.replica
    if replica is None:
        raise InvalidRequest("source", move.source, "a storage that holds the image")
    with (
        open_resources() as (settings, catalog),
        progress(f"move-{move.image_id}", f"move {move.name}") as meter,
    ):
        source, target = (
            open_image_storage(catalog.image_storage(name), settings) for name in (move.source, move.target)
        )
        found = published_before(target, replica, move.landing_id)
        copied = found or copy_replica(
            source,
            target,
            replica,
            move.landing_id,
            scratch=settings.scratch_folder,
            progress=meter,
            pace=pace_into(catalog, (move.target,), settings.bandwidth_bytes_s),
        )
    run_logger().info("copied, read back and proven: sha256:%s", copied.digests.sha256)
    return copied


@task(task_run_name="switch {move.name} to {move.target}", **retrying(but=(StaleLanding,)))
def switch_storage(move: Move, copied: Copied, lease: Lease) -> Image:
    """Publish the copy, then switch the catalog in one transaction: new replica, leftover, image Ready."""
    with open_resources() as (settings, catalog):
        if _done_before(catalog, move):
            return catalog.image(move.image_id)
        target = open_image_storage(catalog.image_storage(move.target), settings)
        image = catalog.image(move.image_id).model_copy(update={"format_stored": copied.format})
        replica = target.publish(copied.landing_id, image, copied.digests)
        with changing(catalog, move.owner, lease) as change:
            old = change.replica(image.id, move.source)
            change.save_replica(replica.model_copy(update={"verified_at": change.now()}))
            change.remove_replica(image.id, move.source)
            change.save_leftover(leftover_of(old, move.target, change.now()))
            saved = change.save_image(_moved(change.image(image.id), move, copied), events.IMAGE_MOVED)
    emit(events.IMAGE_MOVED, saved, source=move.source, target=move.target, sha256=copied.digests.sha256)
    return saved


@task(task_run_name="give up move of {move.name}", **retrying())
def give_up_move(move: Move, lease: Lease, sentence: str, resumable: bool) -> Image:
    """Leave the image as it was, Ready on the source; delete a copy that can't be resumed.

    A copy that was published but not switched to is deleted as well: the catalog does not know it.
    """
    with open_resources() as (settings, catalog):
        if _done_before(catalog, move):
            return catalog.image(move.image_id)
        if not resumable:
            _discard_copy(catalog, settings, move)
        with changing(catalog, move.owner, lease) as change:
            saved = end_move(change, move.image_id)
            why = ItemOutcome(subject=f"move to {move.target}", outcome="failed", reason=sentence)
            change.record(events.IMAGE_MOVE_FAILED, f"image:{saved.id}", after=why)
    emit(events.IMAGE_MOVE_FAILED, saved, source=move.source, target=move.target, error=sentence)
    return saved


def end_move(change: "Change", image_id: str, event: str | None = None) -> Image:
    """End a move that was given up: the image is Ready on the source. Raises IllegalTransition."""
    image = change.image(image_id)
    after = status_after(image, "give up change of image storage")
    return change.save_image(image.model_copy(update={"status": after}), event=event)


def published_before(target: ImageStorage, replica: Replica, landing_id: str) -> Copied | None:
    """Return the copy of an attempt that published it and died before the switch; delete one that is not whole.

    Call it only under the image's lock, and only if the catalog knows no replica and no leftover on the target.
    """
    if not target.contains(replica.image_id):
        return None
    expected = recorded(replica)
    if expected is not None and wanted_format(target, replica) == replica.format:
        with suppress(DigestMismatch, ImageNotFound), reader_of(target, replica.image_id) as reader:
            prove(reader, expected, f"{replica.image_id} on {target.name}")
            return Copied(landing_id=landing_id, format=replica.format, digests=expected)
    target.delete(replica.image_id)
    return None


def _done_before(catalog: "Catalog", move: Move) -> bool:
    """Tell whether the catalog has switched already: the run that did it died before it returned."""
    places = {r.image_storage for r in whole_replicas(catalog, move.image_id)}
    if move.source in places or move.target not in places:
        return False
    leftovers = catalog.leftovers(image_storage=move.source, image_id=move.image_id)
    return any(leftover.moved_to == move.target for leftover in leftovers)


def _replica_to_move(catalog: "Catalog", image: Image, source: str) -> Replica:
    holders = whole_replicas(catalog, image.id)
    for replica in holders:
        if replica.image_storage == source:
            return replica
    names = ", ".join(r.image_storage for r in holders) or "none"
    raise InvalidRequest("source", source, f"a storage that holds image {image.id} whole: {names}")


def _check_target(catalog: "Catalog", image: Image, target: str) -> None:
    if any(r.image_storage == target for r in catalog.replicas(image.id)):
        raise InvalidRequest("target", target, f"a storage that has no replica of image {image.id} yet")
    if any(catalog.leftovers(image_storage=target, image_id=image.id)):
        raise InvalidRequest("target", target, f"a storage without a leftover of image {image.id}; clean that up first")


def _check_room(catalog: "Catalog", source: ImageStorage, target: ImageStorage, replica: Replica) -> None:
    """Raise CapacityExceeded if the data can't fit.

    A deduplicating storage checks as it writes: it may have the chips already.
    """
    if KINDS[target.kind].deduplicates:
        return
    needed = held_bytes(source, replica.image_id)
    check_capacity(target.name, target.capacity().available_bytes, catalog.reservations(), needed)


def leftover_of(old: Replica, moved_to: str, now: datetime) -> Leftover:
    """Return the leftover of a replica that leaves the catalog while its bytes stay.

    moved_to: where the image still is.
    """
    identity = uuid5(NAMESPACE_URL, f"leftover:{old.image_id}@{old.image_storage}")
    return Leftover(
        id=str(identity),
        image_id=old.image_id,
        image_storage=old.image_storage,
        location=old.location,
        size_bytes=old.size_bytes,
        moved_to=moved_to,
        created_at=now,
    )


def _moved(image: Image, move: Move, copied: Copied) -> Image:
    places = tuple(move.target if name == move.source else name for name in image.image_storages)
    return image.model_copy(
        update={
            "status": status_after(image, "finish change of image storage"),
            "format_stored": copied.format,
            "image_storages": tuple(dict.fromkeys(places)) or (move.target,),
        }
    )


def _discard_copy(catalog: "Catalog", settings: Settings, move: Move) -> None:
    """Delete the landing and the unknown replica on the target; if it can't be reached, they are left to reconcile."""
    with suppress(ImagewrightError):
        target = open_image_storage(catalog.image_storage(move.target), settings)
        target.landing(move.landing_id).discard()
        if target.contains(move.image_id):
            target.delete(move.image_id)
