"""Settle a build that a watch added: promote it, keep it waiting, or disable it with the reason."""

from typing import TYPE_CHECKING, Literal

from catalog.errors import ImagewrightError, PromotionRefused
from catalog.log import events
from catalog.records import Image, Record
from catalog.rules.promotion.gates import BY_TIME
from catalog.rules.promotion.history import channel_of, why_not
from catalog.rules.promotion.versions import is_newer
from tasks.promotion.look import refuse
from tasks.promotion.promote import promote
from tasks.runtime.resources import changing, known_image, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading


class Settled(Record):
    """The outcome for a build. sentence: why it is not the latest."""

    outcome: Literal["promoted", "waiting", "refused", "none"]
    image_id: str | None = None
    sentence: str | None = None


NOTHING = Settled(outcome="none")


@task(task_run_name="find what {name} waits with", **retrying())
def waiting_image(name: str) -> Image | None:
    """Return the build of a watch that may yet become the latest of its family, None if there is none."""
    with open_resources() as (_, catalog):
        state = catalog.watch_state(name)
        image = known_image(catalog, state.waiting) if state.waiting else None
        if image is not None and not _is_over(catalog, image):
            return image
        if state.waiting:
            _forget(catalog, name)
        return None


@task(task_run_name="settle {image.name} of {name}", **retrying())
def settle(name: str, image: Image, changes: str = "") -> Settled:
    """Promote a build that passed every gate; keep one that only has to wait; disable one that failed, with the reason.

    changes: as of `promote`.
    """
    with open_resources() as (_, catalog):
        family = catalog.watch(name).family
        try:
            promote.fn(image.id, family, f"watch {name}", "admin", by_person=False, changes=changes)
        except PromotionRefused as refused:
            if refused.failed.keys() <= set(BY_TIME):
                return Settled(outcome="waiting", image_id=image.id, sentence="; ".join(refused.failed.values()))
            return _disabled(catalog, name, image, str(refused))
        except ImagewrightError as error:
            if error.retryable:
                raise
            return _disabled(catalog, name, image, str(error))
        _forget(catalog, name)
    return Settled(outcome="promoted", image_id=image.id)


def _is_over(catalog: "Reading", image: Image) -> bool:
    """Tell whether a waiting build has stopped waiting: it can't be used, or it or a newer build is the latest."""
    channel = catalog.channel(image.family or "", channel_of(image))
    latest = known_image(catalog, channel.image_id) if channel and channel.image_id else None
    if why_not(image) or (latest is not None and latest.id == image.id):
        return True
    known = latest.build_version if latest is not None else None
    return known is not None and image.build_version is not None and not is_newer(image.build_version, known)


def _disabled(catalog: "Catalog", name: str, image: Image, sentence: str) -> Settled:
    with changing(catalog, "system") as change:
        known = change.image(image.id)
        after = known.model_copy(update={"state": "Disabled", "error": sentence})
        if after != known:
            change.save_image(after, event=events.WATCH_REFUSED)
    _forget(catalog, name)
    refuse(catalog, name, sentence, image.id)
    return Settled(outcome="refused", image_id=image.id, sentence=sentence)


def _forget(catalog: "Catalog", name: str) -> None:
    """Record that a watch has no waiting build."""
    with changing(catalog, "system") as change:
        state = change.watch_state(name)
        if state.waiting is not None:
            change.keep_watch_state(state.model_copy(update={"waiting": None}))
