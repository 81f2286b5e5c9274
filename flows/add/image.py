"""Add an image: register → probe → land → inspect → convert → check quality (→ boot check) → publish → report."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from uuid import uuid4

from prefect.runtime import flow_run

from catalog.errors import ImagewrightError, StorageUnavailable, Withdrawn
from catalog.records import Image, ImageStatus, Plan
from catalog.rules.images.draft import Draft
from catalog.rules.upkeep.recovery import interrupted_sentence
from catalog.units import utc_now
from flows.add.cancelled import withdraw_cancelled
from flows.add.draft import draft_image
from flows.operation import flow_of
from flows.requests import AddSystemImage, AddVolumeImage
from tasks.add.failure import fail, mark_failed, note_waiting, withdraw
from tasks.add.land import land
from tasks.add.probe import expected_checksum, probe_source
from tasks.add.prove import check_quality, convert, inspect_image, start_quality_agent
from tasks.add.publish import finish_publication, publish
from tasks.add.register import plan_add, register
from tasks.add.report import report
from tasks.add.results import Landed
from tasks.images.boot_check import require_boot, require_machine
from tasks.runtime.locks import held_while_waiting, image_lock
from tasks.runtime.runs.waiting import Waiting, sentence_of

T = TypeVar("T")


@flow_of(AddSystemImage, on_cancellation=[withdraw_cancelled])
def add_system_image(request: AddSystemImage) -> Image | Plan:
    """Add a system image: it contains an OS and boots VM instances.

    Returns the image, Ready on every storage asked for. Raises InvalidRequest and the errors of the transfer; what
    was kept of an interrupted transfer is resumed from when the same image_id is added again.
    """
    return _add(request)


@flow_of(AddVolumeImage, on_cancellation=[withdraw_cancelled])
def add_volume_image(request: AddVolumeImage) -> Image | Plan:
    """Add a volume image: it contains only data and creates volumes. As `add_system_image` otherwise."""
    return _add(request)


def _add(request: AddSystemImage | AddVolumeImage) -> Image | Plan:
    # The run's own id names the image where the request doesn't: a run that is tried again resumes its image.
    draft = draft_image(request, flow_run.get_id() or str(uuid4()), utc_now())
    if request.plan_only:
        return plan_add(draft.image, request.image_path, request.credentials)
    waiting = Waiting(request.patience_s, partial(held_while_waiting, draft.image.id))
    return waiting.through(lambda: added(draft, request, waiting))


def added(draft: Draft, request: AddSystemImage | AddVolumeImage, waiting: Waiting) -> Image:
    """Bring a draft in and return it Ready. One that fails is left as its error says; waiting: whether it is waited for."""
    image = register(draft.image)
    if image.status is ImageStatus.READY:
        return image
    with image_lock(image.id):
        try:
            return _bring_in(image, draft, request, waiting)
        except Withdrawn:
            withdraw(image.id)
            raise
        except ImagewrightError as error:
            if waiting.will(error) is None:
                fail(image, str(error), error.retryable)
            else:
                note_waiting(image, sentence_of(error))
            raise
        except KeyboardInterrupt:
            mark_failed(image, interrupted_sentence(image.id), resumable=True)  # not a task: Prefect is ending
            raise
        except Exception as error:
            fail(image, f"internal error: {type(error).__name__}: {error}", resumable=True)
            raise


def _bring_in(image: Image, draft: Draft, request: AddSystemImage | AddVolumeImage, waiting: Waiting) -> Image:
    clock, url, credentials = Stopwatch(), request.image_path, request.credentials
    if image.version > 1 and (settled := finish_publication(image)).status is ImageStatus.READY:
        return settled
    start_quality_agent()
    machine = require_machine(image) if draft.boots else None
    info = clock("probe", lambda: probe_source(image, url, credentials))
    expected = expected_checksum(url, draft.expected, credentials)
    insisted = request.accept_unrecognized
    landed = clock("land", lambda: land(image, url, info, expected, credentials, accept_unrecognized=insisted))
    inspected = clock("inspect", lambda: inspect_image(image, landed))
    kept = clock("convert", lambda: [convert(image, landed, place) for place in landed.held])
    quality = clock("check quality", lambda: check_quality(image, landed, inspected, kept))
    if machine is not None:
        clock("boot check", lambda: require_boot(image, kept[0], machine))
    added = clock("publish", lambda: publish(image, landed, inspected, quality, kept))
    report(added, clock.laps)
    _wait_for_the_others(landed, waiting)
    return added


def _wait_for_the_others(landed: Landed, waiting: Waiting) -> None:
    """Raise StorageUnavailable for a storage that was away while others took the image, if it is waited for."""
    for place in landed.storages:
        error = StorageUnavailable(place.image_storage, place.error or "")
        if place.away and waiting.will(error) is not None:
            raise error


class Stopwatch:
    """Time steps by name, in seconds."""

    def __init__(self) -> None:
        self.laps: list[tuple[str, float]] = []

    def __call__(self, name: str, step: Callable[[], T]) -> T:
        """Run a step and remember how long it took."""
        began = time.monotonic()
        result = step()
        self.laps.append((name, time.monotonic() - began))
        return result
