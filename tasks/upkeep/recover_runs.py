"""Find runs and images whose process died, and carry out what the rules decide about them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client

from catalog.errors import IllegalTransition, ImageBusy, ImageNotFound
from catalog.log import events
from catalog.records import Action, Image, ItemOutcome, Record
from catalog.rules.images.transitions import TABLE
from catalog.rules.upkeep import recovery
from catalog.rules.upkeep.recovery import SeenImage, SeenRun
from storage.transfer import receive_buffer
from tasks.add.failure import mark_failed, withdraw
from tasks.replicas.move import end_move
from tasks.runtime.holders import is_dead, is_running_here
from tasks.runtime.locks import image_lock, order_withdrawal
from tasks.runtime.resources import changing, known_image, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs import server as runs
from tasks.runtime.runs.server import FoundRun, Watched
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from catalog.repository.catalog import Catalog


class Unwell(Record):
    """Candidates for recovery. at: the Prefect server's time, for runs; catalog_at: the catalog's, for images."""

    at: datetime
    catalog_at: datetime
    runs: tuple[SeenRun, ...] = ()
    images: tuple[SeenImage, ...] = ()


@task(task_run_name="look for runs whose process died", **retrying())
def find_unwell(watched: Watched, silence_s: float) -> Unwell:
    """Return the runs of these flows' deployments and the images that may need recovery."""
    with get_client(sync_client=True) as client, open_resources() as (_, catalog):
        at, catalog_at = runs.server_now(client), catalog.now()
        found = runs.unwell_runs(client, watched.flows, silence_s, at)
        images = tuple(catalog.tolerant().images(status=tuple(status.value for status in recovery.MOVING)))
        return Unwell(
            at=at,
            catalog_at=catalog_at,
            runs=tuple(_seen_run(catalog, run, watched) for run in found),
            images=tuple(_seen_image(catalog, client, image) for image in images),
        )


@task(task_run_name="{action.verb} {action.subject}", **retrying())
def recover(action: Action, unwell: Unwell) -> ItemOutcome:
    """Carry out one action. Skip what has changed since the decision; a failure is logged and stops no other action."""
    subject, _, identity = action.subject.partition(":")
    try:
        done = _on_run(action, identity, unwell) if subject == "run" else _on_image(action, identity)
    except Exception as error:  # noqa: BLE001  # every kind of failure is that of one item
        run_logger().error("%s %s: %s", action.verb, action.subject, error)
        return ItemOutcome(subject=action.subject, outcome="failed", reason=f"{action.verb}: {error}")
    run_logger().info("%s %s: %s", action.verb, action.subject, action.reason)
    if not done:
        return ItemOutcome(subject=action.subject, outcome="kept", reason="it changed meanwhile")
    return ItemOutcome(subject=action.subject, outcome="done", reason=action.reason)


@task(task_run_name="forget what adds that are over had received", **retrying())
def forget_receive_buffers() -> None:
    """Free this host's receive buffers that dead processes left for adds that can't be resumed any more."""
    with open_resources() as (settings, catalog):
        unfinished = catalog.images(status=tuple(status.value for status in TABLE["download"]))
        receive_buffer.forget_all_but(settings, (image.id for image in unfinished))


@task(task_run_name="forget leases of the dead", **retrying())
def forget_leases() -> int:
    """Remove the rows of locks that dead processes left and that belong to no image; return how many."""
    with open_resources() as (_, catalog):
        return catalog.forget_leases(is_dead)


def _on_run(action: Action, identity: str, unwell: Unwell) -> bool:
    seen = next(run for run in unwell.runs if run.id == identity)
    with get_client(sync_client=True) as client:
        if runs.state_id_of(client, identity) != seen.state_id:
            return False
        if action.verb == recovery.RESTART:
            runs.start_again(client, identity, seen.recoveries + 1, action.reason)
        elif action.verb == recovery.END:
            runs.end(client, identity, action.reason)
        else:
            runs.end_cancelled(client, identity, action.reason)
    return True


def _on_image(action: Action, image_id: str) -> bool:
    with suppress(ImageBusy, ImageNotFound, IllegalTransition):
        return ON_IMAGE[action.verb](image_id, action.reason)
    return False


def _withdraw(image_id: str, _reason: str) -> bool:
    with _locked(image_id):
        return withdraw(image_id)


def _stop(image_id: str, reason: str) -> bool:
    with open_resources() as (_, catalog):
        return order_withdrawal(catalog, image_id, reason)


def _mark(image_id: str, sentence: str) -> bool:
    with _locked(image_id) as image:
        mark_failed(image, sentence, resumable=True)
    return True


def _give_up_move(image_id: str, _reason: str) -> bool:
    with (
        image_lock(image_id) as lease,
        open_resources() as (_, catalog),
        changing(catalog, "system", lease) as change,
    ):
        end_move(change, image_id, events.IMAGE_STAYED)
    return True


@contextmanager
def _locked(image_id: str) -> Iterator[Image]:
    """Hold the image's lock and yield its record. Raises ImageBusy, ImageNotFound."""
    with image_lock(image_id), open_resources() as (_, catalog):
        yield catalog.image(image_id)


ON_IMAGE: dict[str, Callable[[str, str], bool]] = {
    recovery.STOP: _stop,
    recovery.WITHDRAW: _withdraw,
    recovery.MARK: _mark,
    recovery.GIVE_UP_MOVE: _give_up_move,
}


def _seen_run(catalog: "Catalog", run: FoundRun, watched: Watched) -> SeenRun:
    image_id = _image_of(catalog, run) if run.flow in watched.adding else None
    gone = image_id is not None and _is_gone(catalog, image_id)
    alive = image_id is not None and _runs_here(catalog, image_id, run.id)
    seen = run.model_dump(exclude={"flow", "parameters"})
    facts = {"image_id": image_id, "image_gone": gone, "alive": alive, "next_comes": run.flow == watched.recovering}
    return SeenRun.model_validate({**seen, **facts})


def _image_of(catalog: "Catalog", run: FoundRun) -> str | None:
    """Return the image id of an add's run; None if the image exists but the run never touched it."""
    image_id = runs.added_image(run.parameters, run.id)
    events = tuple(catalog.events(image_id)) if image_id else ()
    return image_id if not events or any(event.run_id == run.id for event in events) else None


def _is_gone(catalog: "Catalog", image_id: str) -> bool:
    """Tell whether the catalog once had the image and no longer does."""
    return known_image(catalog, image_id) is None and any(catalog.events(image_id))


def _runs_here(catalog: "Catalog", image_id: str, run: str) -> bool:
    holder = catalog.lease(image_id).holder
    return holder is not None and is_running_here(holder, run)


def _seen_image(catalog: "Catalog", client: "SyncPrefectClient", image: Image) -> SeenImage:
    holder = catalog.lease(image.id).holder
    worked = recovery.run_at_work(catalog.events(image.id))
    return SeenImage(
        id=image.id,
        name=image.name,
        status=image.status,
        changed_at=image.updated_at,
        holder_may_live=holder is not None and not is_dead(holder),
        run_state=runs.state_of(client, worked),
    )
