"""Automations on the server: runs whose heartbeat stops are marked Crashed, so that `recover_runs` finds them."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.automations import Automation

SILENCE_S = 95.0
"""Three heartbeats of 30 s and a little: one lost message is no death."""
ENDED = (
    "Completed", "Failed", "TimedOut", "Cancelled", "Crashed", "Paused", "Suspended", "Scheduled", "AwaitingRetry"
)  # fmt: skip
"""States in which a run does not beat."""


async def apply_automations(silence_s: float = SILENCE_S) -> tuple[str, ...]:
    """Create or change the automations; return their names.

    One that is as it should be is left alone: a new one would have to hear a run's heartbeat again before it misses it.
    """
    from prefect.automations import Automation

    wanted = _crash_silent_runs(silence_s)
    try:
        existing = await Automation.aread(name=wanted.name)
    except ValueError:
        await wanted.acreate()
    else:
        if _said(existing) != _said(wanted):
            await existing.adelete()
            await wanted.acreate()
    return (wanted.name,)


def _said(automation: "Automation") -> object:
    """Return what an automation does, without the ids that the server gives."""
    dumped = automation.model_dump(mode="json", include={"description", "enabled", "trigger", "actions"})
    dumped["trigger"].pop("id", None)
    for side in ("after", "expect"):
        dumped["trigger"][side] = sorted(dumped["trigger"][side])
    return dumped


def _crash_silent_runs(silence_s: float) -> "Automation":
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    beat = "prefect.flow-run.heartbeat"
    return Automation(
        name="crash-silent-runs",
        description="A run whose worker died stops beating; Crashed is what recover-runs looks for.",
        trigger=EventTrigger(
            after={beat},
            expect={beat, *(f"prefect.flow-run.{state}" for state in ENDED)},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silence_s),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"no heartbeat for {silence_s:g} s: its worker died"
            )
        ],
    )
