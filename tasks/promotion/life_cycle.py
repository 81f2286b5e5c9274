"""Deprecate and delete builds by their family's rules."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from catalog.errors import ImagewrightError
from catalog.records import Action, Image, LifeCycleItem
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.promotion.history import goes_back_to, standing, why_not
from catalog.rules.promotion.life_cycle import Decision, Known, decided
from tasks.images.delete import delete
from tasks.images.edit import edit
from tasks.promotion.recall import used_by
from tasks.runtime.batches import all_done
from tasks.runtime.resources import known_image, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

ADMIN = "admin"
VERBS = {"kept": "keep", "deprecated": "deprecate", "goes": "delete"}


@task(task_run_name="choose families", **retrying())
def choose_families(names: Sequence[str], account: str) -> tuple[str, ...]:
    """Return the names of the given families, or of all. Raises FamilyNotFound, InvalidRequest."""
    require_admin(account, "apply life cycles")
    with open_resources() as (_, catalog):
        asked = [catalog.family(name) for name in dict.fromkeys(names)] if names else catalog.families()
        return tuple(family.name for family in asked)


@task(task_run_name="plan the life cycle of {name}", **retrying())
def plan_life_cycle(name: str) -> tuple[Action, ...]:
    """Return for each build whether it stays or goes, and why. Changes nothing."""
    with open_resources() as (_, catalog):
        return tuple(
            Action(
                verb=VERBS[one.fate],
                subject=f"image:{one.image.id}",
                reason=f"{one.image.name}: {one.reason}",
                bytes=(one.image.actual_size_bytes or 0) if one.fate == "goes" else 0,
            )
            for one in _decisions(catalog, name)
        )


@task(task_run_name="apply the life cycle of {name}", **retrying())
def apply_life_cycle(name: str) -> tuple[LifeCycleItem, ...]:
    """Deprecate and delete builds by their family's rules. A failure with one build stops no other."""
    with open_resources() as (_, catalog):
        return tuple(_applied(name, one) for one in _decisions(catalog, name))


def _applied(family: str, one: Decision) -> LifeCycleItem:
    item = LifeCycleItem(
        image_id=one.image.id,
        name=one.image.name,
        family=family,
        build_version=one.image.build_version,
        outcome="kept",
        reason=one.reason,
    )
    try:
        if one.fate == "deprecated":
            edit.fn(one.image.id, ADMIN, {"deprecated": True})
        elif one.fate == "goes":
            all_done("delete image", delete.fn((one.image.id,), ADMIN))
    except ImagewrightError as error:
        return item.model_copy(update={"outcome": "failed", "reason": str(error)})
    outcome = "deleted" if one.fate == "goes" else one.fate
    return item.model_copy(update={"outcome": outcome})


def _decisions(catalog: "Reading", name: str) -> Sequence[Decision]:
    family = catalog.family(name)
    images = tuple(catalog.images(family=name))
    return decided(family, images, _known(catalog, name, images))


def _known(catalog: "Reading", name: str, images: Sequence[Image]) -> Known:
    latest, before = set[str](), set[str]()
    for channel in catalog.channels(name):
        stands = standing(catalog.promotions(name, channel.cpu_architecture))
        latest |= {channel.image_id} if channel.image_id else set()
        back = goes_back_to(stands, lambda one: _is_usable(catalog, one), channel.image_id)
        before |= {back} if back else set()
    waiting = {state.waiting for watch in catalog.watches(name) if (state := catalog.watch_state(watch.name)).waiting}
    return Known(catalog.now(), latest, before, _users(catalog, images), {one for one in waiting if one})


def _is_usable(catalog: "Reading", image_id: str) -> bool:
    image = known_image(catalog, image_id)
    return image is not None and not why_not(image)


def _users(catalog: "Reading", images: Sequence[Image]) -> Mapping[str, Sequence[str]]:
    """Return the users of each image: volumes, exports and images made from it."""
    users = {image.id: list(used_by(catalog, image, caches=False)) for image in images}
    for image in images:
        users[image.id] += [f"image {made.name}" for made in catalog.images(parent=image.id)]
    return users
