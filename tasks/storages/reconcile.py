"""Correct drifts between catalog and storages, each checked again under its image's lock."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import ImageBusy, ImagewrightError
from catalog.log import events
from catalog.records import ItemOutcome
from catalog.rules.storages.drift import Drift
from catalog.settings import Settings
from storage.abilities import Repairable
from storage.protocols import ImageStorage
from tasks.replicas.landings import is_needed
from tasks.replicas.move import end_move
from tasks.replicas.repair import note_damage, note_repair, rebuild, refresh_image_status
from tasks.runtime.locks import export_lock, image_lock
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import run_logger, task
from tasks.storages.adopt import REVIVED, save_adopted

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

Reconciling = Callable[["Catalog", Settings, Drift], str]
"""Corrects one drift and returns how; raises if it can't."""


@task(task_run_name="correct {drifts[0].verb} and more", **retrying())
def reconcile_batch(drifts: Sequence[Drift]) -> tuple[ItemOutcome, ...]:
    """Correct drifts one by one; a drift that can't be corrected is reported and never stops the others."""
    with open_resources() as (settings, catalog):
        return tuple(_reconcile(catalog, settings, drift) for drift in drifts)


def _reconcile(catalog: "Catalog", settings: Settings, drift: Drift) -> ItemOutcome:
    subject = f"{drift.verb} {drift.subject}" + (f" on {drift.image_storage}" if drift.image_storage else "")
    if drift.verb == "leave":
        return ItemOutcome(subject=subject, outcome="kept", reason=drift.reason)
    try:
        with image_lock(drift.subject) if drift.verb in LOCKING else nullcontext():
            said = ACTIONS[drift.verb](catalog, settings, drift)
    except ImageBusy as error:  # another run has begun to work on it since the inventory
        return ItemOutcome(subject=subject, outcome="kept", reason=str(error))
    except ImagewrightError as error:
        run_logger().warning("%s: %s", subject, error)
        return ItemOutcome(subject=subject, outcome="failed", reason=str(error))
    return ItemOutcome(subject=subject, outcome="done", bytes=drift.bytes, reason=said or drift.reason)


def _restore_replica(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    replica = catalog.replica(drift.subject, drift.image_storage)
    storage = _storage(catalog, settings, drift)
    donor = rebuild(catalog, settings, storage, replica)
    if donor is None:
        note_damage(catalog, replica, drift.reason)
        return f"no other replica is whole: marked Damaged; {drift.reason}"
    note_repair(catalog, replica, f"{drift.reason}; made anew from {donor}")
    return f"made anew from {donor}: {drift.reason}"


def _forget_replica(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with changing(catalog, "system") as change:
        change.remove_replica(drift.subject, drift.image_storage)
        refresh_image_status(change, change.image(drift.subject))
    return ""


def _distrust_replica(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    """Mark the row Damaged, then replace the foreign replica by a good one."""
    note_damage(catalog, catalog.replica(drift.subject, drift.image_storage), drift.reason)
    return _restore_replica(catalog, settings, drift)


def _adopt_replica(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    stored = _storage(catalog, settings, drift).stored(drift.subject)
    with changing(catalog, "system") as change:
        save_adopted(change, stored.replica, drift.image_storage)
        refresh_image_status(change, change.image(drift.subject))
    return "adopted; it is proven by the next verification"


def _adopt_image(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    stored = _storage(catalog, settings, drift).stored(drift.subject)
    with changing(catalog, "system") as change:
        change.save_image(stored.image.model_copy(update=REVIVED), event=events.IMAGE_ADOPTED)
        save_adopted(change, stored.replica, drift.image_storage)
    return f"adopted {stored.image.name!r} of {stored.image.owner}"


def _delete_replica(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    _storage(catalog, settings, drift).delete(drift.subject)
    return ""


def _forget_leftover(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with changing(catalog, "system") as change:
        change.remove_leftover(drift.subject)
    return ""


def _discard_landing(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    if is_needed(catalog, drift.image_storage, drift.subject):
        return "kept: somebody goes on with it now"
    _storage(catalog, settings, drift).landing(drift.subject).discard()
    return ""


def _forget_export(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    known = next((export for export in catalog.exports() if export.id == drift.subject), None)
    if known is None:
        return ""
    with image_lock(export_lock(known.image_id)), changing(catalog, "system") as change:
        if Path(known.path).exists():
            return "kept: its file is there again"
        change.remove_export(drift.subject)
    return ""


def _delete_export_file(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    """Delete the file under the lock of its image's exports: a new export gets its name before the catalog knows it."""
    path = Path(drift.subject)
    with image_lock(export_lock(path.parent.name)):
        if any(export.path == drift.subject for export in catalog.exports()):
            return "kept: the catalog knows it by now"
        path.unlink(missing_ok=True)
    return ""


def _end_move(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with changing(catalog, "system") as change:
        end_move(change, drift.subject, events.IMAGE_MOVE_ENDED)
    return "Ready where it was; move it again"


def _mark_lost(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with changing(catalog, "system") as change:
        refresh_image_status(change, change.image(drift.subject))
    return ""


def _repair_store(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    storage = _storage(catalog, settings, drift)
    if isinstance(storage, Repairable):
        storage.repair()
    return ""


def _set_connection(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with changing(catalog, "system") as change:
        record = change.image_storage(drift.image_storage)
        connection = "Connected" if drift.subject == "Connected" else "Disconnected"
        change.save_image_storage(record.model_copy(update={"connection": connection}))
    return ""


def _storage(catalog: "Catalog", settings: Settings, drift: Drift) -> ImageStorage:
    return open_image_storage(catalog.image_storage(drift.image_storage), settings)


ACTIONS: Mapping[str, Reconciling] = {
    "restore replica": _restore_replica,
    "forget replica": _forget_replica,
    "distrust replica": _distrust_replica,
    "adopt replica": _adopt_replica,
    "adopt image": _adopt_image,
    "delete replica": _delete_replica,
    "forget leftover": _forget_leftover,
    "discard landing": _discard_landing,
    "forget export": _forget_export,
    "delete export file": _delete_export_file,
    "end move": _end_move,
    "mark lost": _mark_lost,
    "set connection": _set_connection,
    "repair store": _repair_store,
}
LOCKING = frozenset(v for v in ACTIONS if v.endswith(("replica", "image", "move", "lost")) and v != "restore replica")
"""Verbs done under their image's lock; restoring takes it itself, around the copy."""
