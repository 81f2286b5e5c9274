"""Automations that earlier versions put on the server and that have to go."""

CRASH_SILENT_RUNS = "crash-silent-runs"
"""It made runs Crashed by the clock of the host that sent their heartbeats: one that was minutes behind lost all of them."""


async def remove_automations() -> None:
    """Take off the server what is no longer wanted; a no-op where nothing is."""
    from prefect.automations import Automation

    try:
        known = await Automation.aread(name=CRASH_SILENT_RUNS)
    except ValueError:
        return
    await known.adelete()
