"""Look at publishers for new builds, several at a time."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from catalog.errors import ImagewrightError
from catalog.log import events
from catalog.records import Build, Image, ImageStatus, Look, SignatureSeen, Watch, WatchKind, WatchOutcome, WatchState
from catalog.rules.accounts.sharing import require_admin
from catalog.settings import Settings
from tasks.promotion.watching.listing import look_at_listing
from tasks.promotion.watching.simplestreams import look_at_simplestreams
from tasks.promotion.watching.url import look_at_url
from tasks.runtime.at_once import at_once
from tasks.runtime.resources import changing, known_image, open_resources
from tasks.runtime.retries import once, retrying
from tasks.runtime.runs.notify import emit, emit_of_catalog
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading

AT_ONCE = 16
"""Looks in progress at the same time."""
IDS = UUID("5e0f0f6b-7a55-4b6a-8d41-7b0c8b9a9d10")
"""Namespace of image ids, which gives a build the same id each time it is seen."""
KINDS: Mapping[WatchKind, Callable[[Watch, WatchState, Settings, datetime], Look]] = {
    "url": look_at_url,
    "listing": look_at_listing,
    "simplestreams": look_at_simplestreams,
}
"""Every kind of watch: adding one adds a file and a row."""


@task(task_run_name="choose watches", **retrying())
def choose_watches(names: Sequence[str], account: str) -> tuple[str, ...]:
    """Return the names of the given watches, or of all. Raises WatchNotFound, InvalidRequest."""
    require_admin(account, "check watches")
    with open_resources() as (_, catalog):
        asked = [catalog.watch(name) for name in dict.fromkeys(names)] if names else catalog.watches()
        return tuple(watch.name for watch in asked)


@task(task_run_name="find {names[0]} and more", **retrying())
def watched(names: Sequence[str]) -> tuple[Watch, ...]:
    """Return watches by their names. Raises WatchNotFound."""
    with open_resources() as (_, catalog):
        return tuple(catalog.watch(name) for name in names)


@task(task_run_name="find where {watch.family} lies", **retrying())
def storages_of(watch: Watch) -> tuple[str, ...]:
    """Return the image storages that a watch's builds are added to: its family's, else the default one."""
    with open_resources() as (_, catalog):
        return catalog.family(watch.family).image_storages or ("default",)


@task(task_run_name="look at {names[0]} and more", **once("the next check looks again"))
def look_at(names: Sequence[str]) -> tuple[Look, ...]:
    """Look at the publishers of some watches; a refusal by one stops no other."""
    with open_resources() as (settings, catalog):
        asked = [(catalog.watch(name), catalog.watch_state(name)) for name in names]
        now = catalog.now()
        looks = at_once(lambda one: _look(*one, settings, now), asked, AT_ONCE)
        return tuple(_with_news(catalog, watch, look) for (watch, _), look in zip(asked, looks, strict=True))


def _look(watch: Watch, state: WatchState, settings: Settings, now: datetime) -> Look:
    try:
        return KINDS[watch.kind](watch, state, settings, now)
    except ImagewrightError as error:
        return Look(watch=watch.name, refused=str(error), state=state)


def _with_news(catalog: "Catalog", watch: Watch, look: Look) -> Look:
    """Settle looks that need no add: nothing changed, or the catalog has the build by its digest."""
    if look.refused is not None:
        refuse(catalog, watch.name, look.refused)
        return look
    if look.build is None or _there(catalog, watch, look.build, catalog.watch_state(watch.name)):
        settle_state(catalog, look)
        return look.model_copy(update={"build": None, "unchanged": True})
    return look


def _there(catalog: "Reading", watch: Watch, build: Build, state: WatchState) -> bool:
    """Tell whether a build is in its family already: by its digest, or as a failed add that is kept with its reason.

    A build that was added but never settled, because the check died, counts as new: its add returns it as it is.
    """
    known = known_image(catalog, image_id_of(watch, build))
    if known is not None:
        settled = state.newest == build.version and known.status is not ImageStatus.ERROR
        return settled or known.state == "Disabled" or known.status is ImageStatus.DELETED
    if build.checksum is None:
        return False
    digest = build.checksum.removeprefix("sha256:")
    family = catalog.images(family=watch.family, cpu_architecture=watch.cpu_architecture)
    return any(build.checksum == one.expected_checksum or digest == one.sha256 for one in family if one.sha256)


def image_id_of(watch: Watch, build: Build) -> str:
    """Return the image id of a build: the same one each time."""
    return str(
        uuid5(IDS, "\n".join((watch.family, watch.cpu_architecture, build.version, build.checksum or build.url)))
    )


def settle_state(catalog: "Catalog", look: Look, waiting: str | None = None) -> None:
    """Save a watch's state if it changed.

    waiting: id of the image that may yet be promoted; None leaves it unchanged.
    """
    state = look.state.model_copy(update={"refused": "", **({"waiting": waiting} if waiting else {})})
    if state != catalog.watch_state(look.watch):
        with changing(catalog, "system") as change:
            change.keep_watch_state(state)


def refuse(catalog: "Catalog", name: str, sentence: str, image_id: str | None = None) -> None:
    """Record a watch's refusal and emit its event, once while the reason stays the same."""
    with changing(catalog, "system") as change:
        state = change.watch_state(name)
        if state.refused == sentence:
            return
        change.keep_watch_state(state.model_copy(update={"refused": sentence}))
        outcome = WatchOutcome(watch=name, refused=sentence, image_id=image_id)
        change.record(events.WATCH_REFUSED, f"watch:{name}", after=outcome)
    emit_of_catalog(events.WATCH_REFUSED, watch=name, image_id=image_id, reason=sentence)


@task(task_run_name="keep what {look.watch} brought", **retrying())
def keep_new(look: Look, image: Image) -> None:
    """Record that a build was added, with the signature over its checksum, and emit its event."""
    with open_resources() as (_, catalog):
        build = look.build
        if build is not None and build.signed_by and build.checksum is not None:
            seen = SignatureSeen(list_url=build.list_url or "", checksum=build.checksum, signed_by=build.signed_by)
            with changing(catalog, "system") as change:
                change.record(events.WATCH_SIGNATURE, f"image:{image.id}", after=seen)
        settle_state(catalog, look, waiting=image.id)
    emit(events.WATCH_NEW, image, watch=look.watch, family=image.family, version=image.build_version)


@task(task_run_name="keep what {name} refused", **retrying())
def keep_refused(name: str, sentence: str, look: Look, *, lasting: bool) -> None:
    """Record that a build's add failed and emit its event. lasting: no retry until the publisher changes something.

    The image stays in Error, disabled, with the reason.
    """
    with open_resources() as (_, catalog):
        image_id = image_id_of(catalog.watch(name), look.build) if look.build else None
        image = known_image(catalog, image_id) if image_id else None
        if lasting:
            if image is not None:
                with changing(catalog, "system") as change:
                    change.save_image(image.model_copy(update={"state": "Disabled"}), event=events.WATCH_REFUSED)
            settle_state(catalog, look)
        refuse(catalog, name, sentence, image.id if image else None)
