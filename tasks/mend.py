"""Mending differences between catalog and storages, each under its image's lock and looked at once more before."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from catalog.drift import Drift
from catalog.errors import ImagewrightError
from catalog.records import ImageStatus, ItemOutcome
from catalog.rules.transitions import status_after
from catalog.settings import Settings
from storage.abilities import stored_image
from storage.protocols import ImageStorage
from tasks.damage import note_damage, note_repair, rebuild, settle
from tasks.exclusive import exclusive
from tasks.reclaim import is_needed
from tasks.resources import open_image_storage, open_resources, run_id

if TYPE_CHECKING:
    from catalog.repository import Catalog

Mender = Callable[["Catalog", Settings, Drift], str]
"""Mends one drift and says how; raises where it can't."""


@task(task_run_name="mend {drifts[0].verb} and more")
def mend_batch(drifts: Sequence[Drift]) -> tuple[ItemOutcome, ...]:
    """Mend drifts one after the other; one that can't be mended is reported and never stops the others."""
    with open_resources() as (settings, catalog):
        return tuple(_mend(catalog, settings, drift) for drift in drifts)


def _mend(catalog: "Catalog", settings: Settings, drift: Drift) -> ItemOutcome:
    subject = f"{drift.verb} {drift.subject}" + (f" on {drift.image_storage}" if drift.image_storage else "")
    if drift.verb == "leave":
        return ItemOutcome(subject=subject, outcome="kept", reason=drift.reason)
    try:
        with exclusive(drift.subject) if drift.verb in LOCKING else nullcontext():
            said = MENDERS[drift.verb](catalog, settings, drift)
    except ImagewrightError as error:
        get_run_logger().warning("%s: %s", subject, error)
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
    with catalog.changing("system", run_id()) as change:
        change.remove_replica(drift.subject, drift.image_storage)
        settle(change, change.image(drift.subject))
    return ""


def _distrust_replica(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    """Mark the row Damaged, then put a good replica in place of the foreign one."""
    note_damage(catalog, catalog.replica(drift.subject, drift.image_storage), drift.reason)
    return _restore_replica(catalog, settings, drift)


def _adopt_replica(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    stored = stored_image(_storage(catalog, settings, drift), drift.subject)
    with catalog.changing("system", run_id()) as change:
        row = stored.replica.model_copy(update={"image_storage": drift.image_storage, "verified_at": None})
        change.save_replica(row, event="imagewright.replica.adopted")
        settle(change, change.image(drift.subject))
    return "adopted; it is proven by the next verification"


def _adopt_image(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    stored = stored_image(_storage(catalog, settings, drift), drift.subject)
    fresh = {"version": 0, "status": ImageStatus.READY, "error": None, "deleted_at": None}
    with catalog.changing("system", run_id()) as change:
        change.save_image(stored.image.model_copy(update=fresh), event="imagewright.image.adopted")
        row = stored.replica.model_copy(update={"image_storage": drift.image_storage, "verified_at": None})
        change.save_replica(row, event="imagewright.replica.adopted")
    return f"adopted {stored.image.name!r} of {stored.image.owner}"


def _delete_replica(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    _storage(catalog, settings, drift).delete(drift.subject)
    return ""


def _forget_leftover(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with catalog.changing("system", run_id()) as change:
        change.remove_leftover(drift.subject)
    return ""


def _discard_landing(catalog: "Catalog", settings: Settings, drift: Drift) -> str:
    if is_needed(catalog, drift.image_storage, drift.subject):
        return "kept: somebody goes on with it now"
    _storage(catalog, settings, drift).landing(drift.subject).discard()
    return ""


def _forget_export(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with catalog.changing("system", run_id()) as change:
        change.remove_export(drift.subject)
    return ""


def _delete_export_file(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    if any(export.path == drift.subject for export in catalog.exports()):
        return "kept: the catalog knows it by now"
    Path(drift.subject).unlink(missing_ok=True)
    return ""


def _end_move(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with catalog.changing("system", run_id()) as change:
        image = change.image(drift.subject)
        after = status_after(image, "give up change of image storage")
        change.save_image(image.model_copy(update={"status": after}), event="imagewright.image.move_ended")
    return "Ready where it was; move it again"


def _mark_lost(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with catalog.changing("system", run_id()) as change:
        settle(change, change.image(drift.subject))
    return ""


def _set_connection(catalog: "Catalog", _settings: Settings, drift: Drift) -> str:
    with catalog.changing("system", run_id()) as change:
        record = change.image_storage(drift.image_storage)
        connection = "Connected" if drift.subject == "Connected" else "Disconnected"
        change.save_image_storage(record.model_copy(update={"connection": connection}))
    return ""


def _storage(catalog: "Catalog", settings: Settings, drift: Drift) -> ImageStorage:
    return open_image_storage(catalog.image_storage(drift.image_storage), settings)


MENDERS: Mapping[str, Mender] = {
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
}
LOCKING = frozenset(
    v for v in MENDERS if v.endswith(("replica", "image", "move", "lost")) and v != "restore replica"
)
"""Verbs whose subject is an image; restoring takes the lock itself, around the copy."""
