"""Remove the automations that earlier versions created on the server."""

CRASH_SILENT_RUNS = "crash-silent-runs"
"""It judged heartbeats by the clock of the host that sent them: on a host minutes behind, every run became Crashed."""


async def remove_automations() -> None:
    """Delete obsolete automations from the server; a no-op if there are none."""
    from prefect.automations import Automation

    try:
        known = await Automation.aread(name=CRASH_SILENT_RUNS)
    except ValueError:
        return
    await known.adelete()
