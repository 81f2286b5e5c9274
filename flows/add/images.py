"""Add many images in one run, some at a time: each for itself, one report for all."""

from collections.abc import Sequence
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flows import Flow

from catalog.errors import ImagewrightError
from catalog.records import Action, AddOutcome, AddReport, Plan
from catalog.units import utc_now
from flows.add.cancelled import withdraw_image
from flows.add.draft import draft_image
from flows.add.image import added
from flows.add.many import Add, asked_for
from flows.operation import flow_of
from flows.requests import AddImages
from tasks.add.failure import worked_on
from tasks.add.register import plan_add
from tasks.runtime.at_once import at_once
from tasks.runtime.holders import run_id
from tasks.runtime.runs.waiting import Waiting
from tasks.runtime.task import run_logger


def withdraw_all_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001  # Prefect calls by these names
    """Leave nothing of the images that were still arriving when a person cancels their run."""
    for add in asked_for(AddImages.model_validate(flow_run.parameters["request"]), file_is_ours=False):
        withdraw_image(str(add.image_id), str(flow_run.id))


@flow_of(AddImages, on_cancellation=[withdraw_all_cancelled])
def add_images(request: AddImages) -> AddReport | Plan:
    """Add several images: returns what became of each. Raises InvalidRequest where it can't be told which are meant."""
    context = FlowRunContext.get()
    deployed = context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None
    adds = asked_for(request, file_is_ours=not deployed)
    if request.plan_only:
        return _plan(adds)
    waiting = Waiting(request.patience_s)
    return waiting.through(lambda: _added(adds, request.at_once, waiting))


def _added(adds: Sequence[Add], most: int, waiting: Waiting) -> AddReport:
    """Add all. Raises the error of one that is waited for, once the others are done: then those are there already."""
    outcomes = at_once(lambda add: _outcome(add, waiting), adds, most)
    for outcome in outcomes:
        if isinstance(outcome, ImagewrightError):
            raise outcome
    return AddReport(images=tuple(one for one in outcomes if isinstance(one, AddOutcome)))


def _outcome(add: Add, waiting: Waiting) -> AddOutcome | ImagewrightError:
    """Return what became of one; an error that its run waits for is returned as it is."""
    image_id = str(add.image_id)
    try:
        image = added(draft_image(add, image_id, utc_now()), add, waiting)
    except ImagewrightError as error:
        if waiting.will(error) is not None:
            return error
        return AddOutcome(id=image_id, name=add.name, outcome="failed", error=str(error))
    except Exception as error:  # noqa: BLE001  # a defect that one meets is told as its failure
        run_logger().exception("image %s (%s) failed", image_id, add.name)
        return AddOutcome(
            id=image_id, name=add.name, outcome="failed", error=f"internal error: {type(error).__name__}: {error}"
        )
    ours = worked_on(image_id, run_id() or "")
    return AddOutcome(id=image_id, name=image.name, outcome="added" if ours else "already there")


def _plan(adds: Sequence[Add]) -> Plan:
    """Return what each would do; what is wrong with one is its action's reason."""
    actions: list[Action] = []
    for add in adds:
        actions += _planned(add)
    fetched = sum(action.bytes for action in actions if action.verb == "add")
    return Plan(
        operation="add images", actions=tuple(actions), bytes_to_move=fetched, summary=f"add {len(adds)} images"
    )


def _planned(add: Add) -> Sequence[Action]:
    subject = f"image:{add.image_id}"
    try:
        plan = plan_add(draft_image(add, str(add.image_id), utc_now()).image, add.image_path, add.credentials)
    except ImagewrightError as error:
        return [Action(verb="refuse", subject=subject, reason=str(error))]
    return [Action(verb="add", subject=subject, bytes=plan.bytes_to_move, reason=plan.summary), *plan.actions]
