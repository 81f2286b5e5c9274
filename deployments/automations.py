"""Automations on the server: runs whose heartbeat stops are marked Crashed, so that `recover_runs` finds them."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.automations import Automation

SILENCE_S = 95
"""Three heartbeats of 30 s and a little: one lost message is no death."""
ENDED = ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended", "Scheduled", "AwaitingRetry")


async def apply_automations() -> tuple[str, ...]:
    """Create or replace the automations; return their names."""
    from prefect.automations import Automation

    automation = _crash_silent_runs()
    try:
        existing = await Automation.aread(name=automation.name)
    except ValueError:
        await automation.acreate()
    else:
        await existing.adelete()
        await automation.acreate()
    return (automation.name,)


def _crash_silent_runs() -> "Automation":
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
            within=timedelta(seconds=SILENCE_S),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"no heartbeat for {SILENCE_S} s: its worker died"
            )
        ],
    )
