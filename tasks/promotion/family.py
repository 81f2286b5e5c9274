"""The rules of a family."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from catalog.log import events
from catalog.records import Action, Family, Plan
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.promotion.families import check_family
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.setting import known_one, one_step, whose_and_when
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

OPERATION = "set families"


@task(task_run_name="set family {asked[name]}", **retrying())
def set_family(asked: Mapping[str, object], account: str) -> Family:
    """Save a family as asked for. Idempotent. Raises InvalidRequest, StorageNotFound."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        known, after = _asked(change, asked, account)
        if known is not None and after == known.model_copy(update={"updated_at": after.updated_at}):
            return known
        change.save_family(after, events.FAMILY_SET)
    return after


@task(task_run_name="plan family {asked[name]}", **retrying())
def plan_family(asked: Mapping[str, object], account: str) -> Plan:
    """Say which rules would change. Changes nothing."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog):
        known, after = _asked(catalog, asked, account)
    old = known.model_dump(mode="json") if known else {}
    new = after.model_dump(mode="json", exclude={"created_at", "updated_at"})
    changed = [f"{name} {old.get(name)!r} → {value!r}" for name, value in new.items() if old.get(name) != value]
    verb = "change" if known else "make"
    actions = (Action(verb=verb, subject=f"family:{after.name}", reason=", ".join(changed)),) if changed else ()
    return Plan(
        operation=OPERATION, actions=actions, summary=f"{verb} {after.name}" if changed else "nothing to change"
    )


@task(task_run_name="delete family {name}", **retrying())
def delete_family(name: str, account: str) -> Family:
    """Forget a family and what it promoted; return it as it was. Raises FamilyNotFound."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        known = change.family(name)
        change.remove_family(name, events.FAMILY_DELETED)
    return known


@task(task_run_name="plan to delete family {name}", **retrying())
def plan_deletion(name: str, account: str) -> Plan:
    """Say what would be forgotten. Changes nothing. Raises FamilyNotFound."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog):
        catalog.family(name)
        latest = [c.cpu_architecture for c in catalog.channels(name) if c.image_id is not None]
    said = f"what is its latest for {', '.join(latest)} is forgotten" if latest else "it promoted nothing"
    return one_step(OPERATION, "delete", f"family:{name}", f"{said}; its images stay")


def _asked(catalog: "Reading", asked: Mapping[str, object], account: str) -> tuple[Family | None, Family]:
    """Return the family that is there and the one that is asked for, which is checked."""
    known = known_one(catalog.family, asked["name"])
    after = Family.model_validate({**asked, **whose_and_when(known, account, catalog.now())})
    check_family(after)
    for storage in after.image_storages:
        catalog.image_storage(storage)
    return known, after
