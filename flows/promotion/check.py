"""Check watches: look → add → gates → latest. A refusal by one watch stops no other."""

from collections.abc import Sequence
from typing import cast

from catalog.errors import ImagewrightError
from catalog.records import Action, Image, Look, Plan, Watch, WatchOutcome, WatchReport
from flows.add.image import add_system_image, add_volume_image
from flows.operation import flow_of
from flows.promotion.builds import add_for
from flows.promotion.changes import changes_since_latest
from flows.promotion.proving import prove
from flows.requests import AddVolumeImage, CheckWatches
from tasks.promotion.look import choose_watches, keep_new, keep_refused, look_at, watched
from tasks.promotion.rollback import leave_unusable
from tasks.promotion.settle import NOTHING, Settled, settle, waiting_image
from tasks.runtime.batches import cut


@flow_of(CheckWatches)
def check_watches(request: CheckWatches) -> WatchReport | Plan:
    """Look at publishers and add new builds. Raises WatchNotFound; refusals are in the report."""
    names = choose_watches(request.names, request.account)
    if request.plan_only:
        return _plan(names)
    leave_unusable()
    looks = [look for some in cut(names) for look in look_at(some)]
    return WatchReport(watches=tuple(_outcome(look) for look in looks))


def _plan(names: Sequence[str]) -> Plan:
    actions = [
        Action(verb="look", subject=f"watch:{watch.name}", reason=watch.url)
        for some in cut(names)
        for watch in watched(some)
    ]
    return Plan(operation="check watches", actions=tuple(actions), summary=f"{len(actions)} publishers are asked")


def _outcome(look: Look) -> WatchOutcome:
    """Add the build that a look found, and settle the waiting build."""
    outcome = WatchOutcome(watch=look.watch, seen=look.seen, unchanged=look.unchanged, refused=look.refused)
    image: Image | None = None
    if look.build is not None:
        (watch,) = watched((look.watch,))
        image, refused = _added(watch, look)
        outcome = outcome.model_copy(update={"new": int(image is not None), "refused": refused})
    settled = (
        _settled(look.watch) if image is not None or look.state.waiting else NOTHING
    )  # saves most looks a task run
    said = {"image_id": image.id if image else settled.image_id, "promoted": settled.outcome == "promoted"}
    if settled.outcome == "waiting":
        said["waiting_for"] = settled.sentence
    if settled.outcome == "refused":
        said["refused"] = settled.sentence
    return outcome.model_copy(update=said)


def _added(watch: Watch, look: Look) -> tuple[Image | None, str | None]:
    """Add a build by the ordinary add flow, on its storages' host; return the image, or why the add failed."""
    try:
        request = add_for(watch, look)
        added = add_volume_image(request) if isinstance(request, AddVolumeImage) else add_system_image(request)
        image = cast("Image", added)
    except ImagewrightError as error:
        keep_refused(look.watch, str(error), look, lasting=not error.retryable)
        return None, str(error)
    keep_new(look, image)
    return image, None


def _settled(name: str) -> Settled:
    image = waiting_image(name)
    if image is None:
        return NOTHING
    try:
        prove(image.id, image.family or "", "admin")
        changes = changes_since_latest(image.id, image.family or "", "admin", by_person=False)
        return settle(name, image, changes)
    except ImagewrightError as error:  # not settled: the next check tries again
        return Settled(outcome="refused", image_id=image.id, sentence=str(error))
