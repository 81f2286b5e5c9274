"""Decide what to do about runs whose process died and about the images they left unfinished. Pure: it only plans."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from catalog.records import Action, Event, ImageStatus, Record

MAX_RECOVERIES = 3
MOVING = (ImageStatus.CREATING, ImageStatus.DOWNLOADING, ImageStatus.MIGRATING)
"""Statuses in which a run should be working on an image."""
WAITING = ("SCHEDULED", "PAUSED")
"""States of a run that has no process and needs none. Healthy running ones hold the image's lock."""

WORK = tuple(f"imagewright.image.{what}" for what in ("adding", "resumed", "waiting", "moving"))
"""Events logged by runs that work on an image's arrival; an edit in the meantime is no such work."""

RESTART, END, END_CANCELLED = "restart run", "end run", "end cancelled run"
STOP = "stop add of image"
MARK, WITHDRAW, GIVE_UP_MOVE = "mark image resumable", "withdraw image", "give up move of image"


class SeenRun(Record):
    """An unhealthy run, as the server sees it. An add names its image."""

    id: str
    name: str
    state: Literal["CRASHED", "RUNNING", "PENDING", "CANCELLING"]
    state_at: datetime
    state_id: str  # a run whose state has changed by the time of the action is left alone
    last_sign_at: datetime  # last heartbeat, or entry into its state if that is later
    recoveries: int = 0  # how often it was started again
    cancelling: bool = False  # its cancellation was requested since it was last started
    image_id: str | None = None
    waited: bool = False  # it was waiting, without a process, when its cancellation was requested
    next_comes: bool = False  # the schedule starts another run at once
    image_gone: bool = False  # the image it adds was removed from the catalog meanwhile
    alive: bool = False  # its process was seen running on this host


class SeenImage(Record):
    """An image that a run should be working on. run_state: of the last run that did, None if the server knows none."""

    id: str
    name: str
    status: ImageStatus
    changed_at: datetime
    holder_may_live: bool = False  # its lock has a holder that may be alive
    run_state: str | None = None


def run_at_work(events: Iterable[Event]) -> str | None:
    """Return the run that last worked on an image's arrival. events: of the image, oldest first."""
    worked = [event.run_id for event in events if event.run_id and event.kind in WORK]
    return worked[-1] if worked else None


def plan_recovery(
    runs: Sequence[SeenRun],
    images: Sequence[SeenImage],
    now: datetime,
    stale_after_s: float,
    *,
    catalog_now: datetime,
) -> tuple[Action, ...]:
    """Return the actions for runs and images that nobody works on any more.

    now: by the clock of the runs' states and heartbeats; catalog_now: by the clock of the images. A run that was silent
    for exactly `stale_after_s` counts as dead.
    """
    silence = timedelta(seconds=stale_after_s)
    by_run = tuple(action for run in runs for action in judged_run(run, now, silence))
    being_worked_on = {run.image_id for run in runs if run.image_id}
    rest = [image for image in images if image.id not in being_worked_on]
    return by_run + tuple(action for image in rest for action in judged_image(image, catalog_now, silence))


def judged_run(run: SeenRun, now: datetime, silence: timedelta) -> tuple[Action, ...]:
    """Return the actions for one run; none while it may be alive."""
    if not is_dead(run, now, silence):
        return _stopped(run, now, silence)
    subject = f"run:{run.id}"
    if run.state == "CANCELLING" or run.cancelling:  # whoever found it dead first may have set it to Crashed
        ended = Action(verb=END_CANCELLED, subject=subject, reason="its worker died while it was cancelled")
        return (ended, *_withdrawn(run))
    if run.image_gone:
        return (Action(verb=END_CANCELLED, subject=subject, reason="its image was deleted meanwhile"),)
    if run.next_comes:
        return (Action(verb=END, subject=subject, reason="its process died; the next one by schedule does its work"),)
    if run.recoveries >= MAX_RECOVERIES:
        return _given_up(run)
    again = f"its process died; started again ({run.recoveries + 1} of {MAX_RECOVERIES})"
    return (Action(verb=RESTART, subject=subject, reason=again),)


def is_dead(run: SeenRun, now: datetime, silence: timedelta) -> bool:
    """Tell whether a run's process is gone: the run is Crashed, or silent for too long and not seen running.

    The death of a process that held the image's lock proves nothing, as the run may have been started again since.
    """
    if run.state == "CRASHED" or (run.state == "CANCELLING" and run.waited):
        return True
    return not run.alive and now - run.last_sign_at >= silence


def judged_image(image: SeenImage, now: datetime, silence: timedelta) -> tuple[Action, ...]:
    """Return the actions for an image that no run to be recovered works on; none while any run may work on it."""
    subject = f"image:{image.id}"
    arriving = image.status is not ImageStatus.MIGRATING
    if image.holder_may_live or image.run_state in WAITING:
        return ()
    if image.run_state == "CANCELLED" and arriving:
        return (Action(verb=WITHDRAW, subject=subject, reason="its add was cancelled"),)
    if now - image.changed_at < silence:
        return ()
    if arriving:
        return (Action(verb=MARK, subject=subject, reason=resumable_sentence(image.id)),)
    reason = "its move stopped because its process died; change its image storage again to go on"
    return (Action(verb=GIVE_UP_MOVE, subject=subject, reason=reason),)


def resumable_sentence(image_id: str) -> str:
    """Return a sentence with why an add stopped and how to continue it."""
    return f"the add stopped because its process died; {_again(image_id)}"


def interrupted_sentence(image_id: str) -> str:
    """Return a sentence that a person stopped an add, and how to continue it."""
    return f"the add was interrupted; {_again(image_id)}"


def _again(image_id: str) -> str:
    return f"add again with image_id {image_id} to go on from what was kept"


def _given_up(run: SeenRun) -> tuple[Action, ...]:
    times = f"its process died {run.recoveries + 1} times; it is not started again"
    ended = Action(verb=END, subject=f"run:{run.id}", reason=times)
    if run.image_id is None:
        return (ended,)
    sentence = f"{times}; {_again(run.image_id)}"
    return (
        ended.model_copy(update={"reason": sentence}),
        Action(verb=MARK, subject=f"image:{run.image_id}", reason=sentence),
    )


def _stopped(run: SeenRun, now: datetime, silence: timedelta) -> tuple[Action, ...]:
    """Return the actions that make a run end itself because its worker, which should end it, has died."""
    if run.state != "CANCELLING" or run.image_id is None or run.image_gone or now - run.state_at < silence:
        return ()
    reason = "its add was cancelled, and no worker ended it"
    return (Action(verb=STOP, subject=f"image:{run.image_id}", reason=reason),)


def _withdrawn(run: SeenRun) -> tuple[Action, ...]:
    if run.image_id is None or run.image_gone:
        return ()
    return (Action(verb=WITHDRAW, subject=f"image:{run.image_id}", reason="its add was cancelled"),)
