"""Prove replicas by reading them, oldest proof first, within a budget; repair damage or mark it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from catalog.errors import DigestMismatch, ImageNotFound, ImagewrightError, ObjectMissing
from catalog.log import events
from catalog.records import Action, Deferred, ItemOutcome, Plan, Record, Replica, ReplicaStatus, VerifyReport
from catalog.rules.upkeep.deferred import PROVE_ON
from catalog.settings import Settings
from storage.abilities import Measured, Provable
from storage.protocols import ImageStorage
from tasks.replicas.repair import in_words, note_damage, note_repair, rebuild, repair_piece
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

NEVER = datetime.min.replace(tzinfo=UTC)


class Due(Record):
    """A replica to be proven. size_bytes: upper bound of the bytes read."""

    image_id: str
    image_storage: str
    size_bytes: int
    verified_at: datetime | None = None


class Budget(Record):
    """The reading that is still allowed: bytes (None: no bound), bytes per second (0: no bound)."""

    left_bytes: int | None = None
    bytes_per_second: int = 0

    @property
    def spent(self) -> bool:
        """Tell whether the budget is used up."""
        return self.left_bytes is not None and self.left_bytes <= 0

    def minus(self, count: int) -> "Budget":
        """Return the budget left after reading so many bytes."""
        left = None if self.left_bytes is None else self.left_bytes - count
        return self.model_copy(update={"left_bytes": left})


@task(task_run_name="choose replicas", **retrying())
def choose_replicas(image_storages: Sequence[str], image_ids: Sequence[str]) -> tuple[Due, ...]:
    """Return the replicas to prove: never proven ones first, then by oldest proof. Raises ImageNotFound."""
    wanted = set(image_ids)
    with open_resources() as (_, catalog):
        for image_id in image_ids:
            catalog.image(image_id)
        due = [
            Due(image_id=r.image_id, image_storage=name, size_bytes=r.size_bytes, verified_at=r.verified_at)
            for name in image_storages
            for r in catalog.tolerant().replicas(image_storage=name)
            if r.status in (ReplicaStatus.READY, ReplicaStatus.DAMAGED) and (not wanted or r.image_id in wanted)
        ]
        moment = catalog.now()
    return oldest_first(due, moment)


def oldest_first(due: Sequence[Due], now: datetime) -> tuple[Due, ...]:
    """Sort replicas by when they are due for a proof.

    A proof dated in the future counts as none: the clock was set back since, and the replica would not be read until
    then.
    """

    def proven(one: Due) -> datetime:
        at = one.verified_at
        return NEVER if at is None or at > now else at

    return tuple(sorted(due, key=lambda one: (proven(one), one.image_id, one.image_storage)))


def plan_verification(due: Sequence[Due], budget: Budget) -> Plan:
    """Return which replicas a run would read within the budget. Changes nothing."""
    actions, left = [], budget
    for one in due:
        if left.spent:
            break
        left = left.minus(one.size_bytes)
        subject = f"replica:{one.image_id}@{one.image_storage}"
        reason = f"last proven {one.verified_at or 'never'}"
        actions.append(Action(verb="read and prove", subject=subject, bytes=one.size_bytes, reason=reason))
    summary = f"prove {len(actions)} of {len(due)} replicas, oldest proof first"
    return Plan(operation="verify replicas", actions=tuple(actions), summary=summary)


@task(task_run_name="verify {due[0].image_storage} and more", **retrying())
def verify_batch(due: Sequence[Due], budget: Budget) -> VerifyReport:
    """Prove replicas one by one until the budget is spent. A failure with one never stops the others."""
    reports: list[VerifyReport] = []
    with open_resources() as (settings, catalog):
        for one in due:
            if budget.spent:
                break
            report = _verify_replica(catalog, settings, one, budget)
            budget = budget.minus(report.bytes_read)
            reports.append(report)
    return total(reports)


def total(reports: Sequence[VerifyReport]) -> VerifyReport:
    """Return the sum of reports."""
    return VerifyReport(
        items=tuple(item for report in reports for item in report.items),
        chips_read=sum(report.chips_read for report in reports),
        bytes_read=sum(report.bytes_read for report in reports),
    )


def _verify_replica(catalog: "Catalog", settings: Settings, due: Due, budget: Budget) -> VerifyReport:
    try:
        replica = catalog.replica(due.image_id, due.image_storage)
        storage = open_image_storage(catalog.image_storage(due.image_storage), settings)
        return _prove(catalog, settings, storage, replica, budget)
    except ImagewrightError as error:  # a storage that does not answer proves nothing
        run_logger().warning("%s on %s: %s", due.image_id, due.image_storage, error)
        return VerifyReport(items=(_item(due.image_id, due.image_storage, "pending", str(error)),))


def _prove(
    catalog: "Catalog", settings: Settings, storage: ImageStorage, replica: Replica, budget: Budget
) -> VerifyReport:
    if not isinstance(storage, Provable):
        reason = f"{storage.kind} storages prove what they keep only when it is read"
        return VerifyReport(items=(_item(replica.image_id, storage.name, "kept", reason),))
    before = _continued(catalog, replica)
    try:
        found, following = storage.verify(
            replica.image_id,
            first_object=int(before.location) if before else 0,
            budget_bytes=budget.left_bytes,
            bytes_per_second=budget.bytes_per_second or None,
        )
    except (DigestMismatch, ObjectMissing, ImageNotFound) as error:
        return VerifyReport(items=(_whole_replica(catalog, settings, storage, replica, _lost(storage, error)),))
    items = _repaired(catalog, settings, storage, replica, found.items)
    lost = [item for item in items if item.outcome == "failed"]
    lost_bytes = sum(item.bytes for item in lost) + (before.bytes if before else 0)
    if lost:
        note_damage(catalog, replica, in_words(lost))
    elif not lost_bytes:
        _note_whole(catalog, replica, items, to_the_end=following is None)
    _remember(catalog, replica, before, following, lost_bytes, _measured(storage, replica))
    return found.model_copy(update={"items": items})


def _lost(storage: ImageStorage, error: ImagewrightError) -> str:
    return f"{storage.name} does not hold it" if isinstance(error, ImageNotFound) else str(error)


def _whole_replica(
    catalog: "Catalog", settings: Settings, storage: ImageStorage, replica: Replica, sentence: str
) -> ItemOutcome:
    """Rebuild a replica whose manifest is lost; mark it Damaged if that fails."""
    try:
        donor = rebuild(catalog, settings, storage, replica)
    except ImagewrightError as error:
        sentence, donor = f"{sentence}; making it anew failed: {error}", None
    if donor is None:
        note_damage(catalog, replica, sentence)
        return _item(replica.image_id, storage.name, "failed", sentence)
    note_repair(catalog, replica, f"{sentence}; made anew from {donor}")
    return _item(replica.image_id, storage.name, "done", f"made anew from {donor}: {sentence}", replica.size_bytes)


def _repaired(
    catalog: "Catalog", settings: Settings, storage: Provable, replica: Replica, damaged: Sequence[ItemOutcome]
) -> tuple[ItemOutcome, ...]:
    """Repair damaged pieces one by one; return the outcome of each, `failed` if no storage has it whole."""
    items = []
    for piece in damaged:
        donor = repair_piece(catalog, settings, storage, replica, piece)
        reason = f"repaired from {donor}: {piece.reason}"
        items.append(piece.model_copy(update={"outcome": "done", "reason": reason}) if donor else piece)
    return tuple(items)


def _note_whole(catalog: "Catalog", replica: Replica, repaired: Sequence[ItemOutcome], *, to_the_end: bool) -> None:
    """Record that the part read is whole now. A Damaged replica becomes Ready again once all of it was read."""
    damaged = replica.status is ReplicaStatus.DAMAGED
    if damaged and not to_the_end:
        return
    if repaired:
        note_repair(catalog, replica, in_words(repaired))
    elif damaged:
        note_repair(catalog, replica, "every piece was read and is whole")


def _continued(catalog: "Catalog", replica: Replica) -> Deferred | None:
    """Return where an earlier proof of this replica stopped, None to begin at the start."""
    for work in catalog.pending(image_id=replica.image_id):
        if work.operation == PROVE_ON and work.storage == replica.image_storage:
            return work
    return None


def _measured(storage: ImageStorage, replica: Replica) -> dict[str, str]:
    """Return the digests that the catalog lacks and the storage knows after reading the file."""
    if replica.sha256 is not None or not isinstance(storage, Measured):
        return {}
    digests = storage.measured(replica.image_id)
    return {} if digests is None else {"md5": digests.md5, "sha256": digests.sha256}


def _remember(
    catalog: "Catalog",
    replica: Replica,
    before: Deferred | None,
    following: int | None,
    lost_bytes: int,
    measured: Mapping[str, str],
) -> None:
    """Record how far the proof has come or, if the replica is proven in full, when that was and the measured digests.

    lost_bytes: found damaged since the start and not repaired; a run that resumes must not take the replica for whole.
    """
    with changing(catalog, "system") as change:
        known = change.replica(replica.image_id, replica.image_storage)  # gone meanwhile: nothing to record
        if before is not None:
            change.remove_deferred(before.id)
        if following is not None:
            subject = f"replica:{replica.image_id}@{replica.image_storage}"
            reason = f"proven up to piece {following}; the next run goes on there"
            change.defer(
                PROVE_ON,
                subject,
                reason,
                storage=replica.image_storage,
                location=str(following),
                size_bytes=lost_bytes,
            )
            return
        if known.status is ReplicaStatus.READY:
            proven = known.model_copy(update={"verified_at": change.now(), **measured})
            change.save_replica(proven, event=events.REPLICA_VERIFIED)


def ages(image_storages: Sequence[str]) -> Iterator[tuple[str, int, int, int, str]]:
    """Yield per storage: name, counts of replicas, never proven and damaged ones, and the time of the oldest proof."""
    with open_resources() as (_, catalog):
        for name in image_storages:
            replicas = list(catalog.replicas(image_storage=name))
            proofs = [r.verified_at for r in replicas if r.verified_at is not None]
            damaged = sum(r.status is ReplicaStatus.DAMAGED for r in replicas)
            oldest = f"{min(proofs):%Y-%m-%d %H:%M} UTC" if proofs else "-"
            yield name, len(replicas), len(replicas) - len(proofs), damaged, oldest


def _item(
    image_id: str,
    storage: str,
    outcome: Literal["done", "kept", "pending", "failed"],
    reason: str,
    size: int = 0,
) -> ItemOutcome:
    return ItemOutcome(subject=f"{image_id} on {storage}", outcome=outcome, bytes=size, reason=reason)
