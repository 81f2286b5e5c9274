"""Add an image: register → probe → land → inspect → convert → check quality → publish → report."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run

from catalog.errors import ImagewrightError, Withdrawn
from catalog.records import Image, ImageStatus, Plan
from catalog.rules.recovery import interrupted_sentence
from flows.drafts import draft_image
from flows.hooks import withdraw_cancelled
from flows.naming import named
from flows.requests import AddSystemImage, AddVolumeImage
from tasks.check_quality import check_quality, start_quality_agent
from tasks.checksum import expected_checksum
from tasks.convert import convert
from tasks.exclusive import exclusive
from tasks.fail import fail, mark_failed, withdraw
from tasks.inspect_image import inspect_image
from tasks.land import land
from tasks.plan_add import plan_add
from tasks.probe_source import probe_source
from tasks.publish import publish, settle
from tasks.register import register
from tasks.report import report

T = TypeVar("T")


@flow(name="add-system-image", flow_run_name=named("add {name}"), on_cancellation=[withdraw_cancelled])
def add_system_image(request: AddSystemImage) -> Image | Plan:
    """Add a system image: it contains an OS and boots VM instances.

    Returns the image, Ready on every storage asked for. Raises InvalidRequest and the errors of the transfer; what
    was kept of an interrupted transfer is resumed from when the same image_id is added again.
    """
    return _add(request)


@flow(name="add-volume-image", flow_run_name=named("add {name}"), on_cancellation=[withdraw_cancelled])
def add_volume_image(request: AddVolumeImage) -> Image | Plan:
    """Add a volume image: it contains only data and creates volumes. As `add_system_image` otherwise."""
    return _add(request)


def _add(request: AddSystemImage | AddVolumeImage) -> Image | Plan:
    # The run's own id names the image where the request doesn't: a run that is tried again resumes its image.
    draft = draft_image(request, flow_run.get_id() or str(uuid4()), datetime.now(UTC))
    if request.plan_only:
        return plan_add(draft, request.image_path, request.credentials)
    image = register(draft)
    if image.status is ImageStatus.READY:
        return image
    with exclusive(image.id):
        try:
            return _bring_in(image, request)
        except Withdrawn:
            withdraw(image.id)
            raise
        except ImagewrightError as error:
            fail(image, str(error), error.retryable)
            raise
        except KeyboardInterrupt:
            mark_failed(
                image, interrupted_sentence(image.id), resumable=True
            )  # not a task: Prefect is ending
            raise
        except Exception as error:
            fail(image, f"internal error: {type(error).__name__}: {error}", resumable=True)
            raise


def _bring_in(image: Image, request: AddSystemImage | AddVolumeImage) -> Image:
    clock, url, credentials = Stopwatch(), request.image_path, request.credentials
    if image.version > 1 and (settled := settle(image)).status is ImageStatus.READY:
        return settled
    start_quality_agent()
    info = clock("probe", lambda: probe_source(image, url, credentials))
    expected = expected_checksum(url, request.expected_checksum, credentials)
    landed = clock("land", lambda: land(image, url, info, expected, credentials))
    inspected = clock("inspect", lambda: inspect_image(image, landed))
    kept = clock("convert", lambda: [convert(image, landed, place) for place in landed.held])
    quality = clock("check quality", lambda: check_quality(image, landed, inspected, kept))
    added = clock("publish", lambda: publish(image, landed, inspected, quality, kept))
    report(added, clock.laps)
    return added


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
