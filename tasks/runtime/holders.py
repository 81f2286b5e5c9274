"""Who holds a lock: run, host, process; and whether that one still lives."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.runtime import flow_run

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog


def is_busy(catalog: "Catalog", image_id: str) -> bool:
    """Tell whether somebody who is not surely dead works on an image."""
    held_by = catalog.lease(image_id).holder
    return held_by is not None and not is_dead(held_by)


def run_id() -> str | None:
    """Return the id of the flow run we are in, for the event log; None outside of one."""
    return flow_run.get_id()


def holder() -> str:
    """Return who we are as the holder of a lock: the run, and the process it can be looked up by.

    Shape: `run@host:pid:start-ticks`; the start time tells a reused pid from the process meant.
    """
    pid = os.getpid()
    return f"{run_id() or 'call'}@{os.uname().nodename}:{pid}:{_start_ticks(pid)}"


def is_dead(name: str) -> bool:
    """Tell for certain that a lock's holder is gone: its process on this host, else its run's state.

    A holder of our own run on another host is gone: a run is started again only after its process was given up. Should
    that process live after all, the landing's journal and the lock's token fence it off.
    """
    run, host, pid, ticks = parts_of(name)
    if host == os.uname().nodename:
        return _start_ticks(pid) != ticks
    return run == run_id() or _run_ended(run)


def is_running_here(name: str, run: str) -> bool:
    """Tell for certain that a lock's holder is that run, in a process that lives on this host."""
    held_by, host, pid, ticks = parts_of(name)
    return held_by == run and host == os.uname().nodename and _start_ticks(pid) == ticks


def parts_of(name: str) -> tuple[str, str, int, str]:
    """Return run, host, pid and start ticks of a holder's name."""
    run, _, place = name.partition("@")
    host, pid, ticks = place.rsplit(":", 2)
    return run, host, int(pid), ticks


def _start_ticks(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return "gone"


def _run_ended(run: str) -> bool:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state  # type: ignore[arg-type]  # the client takes the text of a UUID
            return state is not None and state.is_final()
    except (ObjectNotFound, ValueError):
        return True
