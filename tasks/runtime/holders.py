"""Holders of locks: run, host and process, and whether that process is still alive."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.runtime import flow_run

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog


def is_busy(catalog: "Catalog", image_id: str) -> bool:
    """Tell whether the lock of an image is held by anyone not known to be dead."""
    held_by = catalog.lease(image_id).holder
    return held_by is not None and not is_dead(held_by)


def run_id() -> str | None:
    """Return the id of the current flow run, for the event log; None outside a run."""
    return flow_run.get_id()


def holder() -> str:
    """Return this process's name as the holder of a lock.

    Shape: `run@host:pid:start-ticks`; the start time distinguishes the process from a later one with the same pid.
    """
    pid = os.getpid()
    return f"{run_id() or 'call'}@{os.uname().nodename}:{pid}:{_start_ticks(pid)}"


def is_dead(name: str) -> bool:
    """Tell whether a lock's holder is certainly gone, by its process on this host, else by its run's state.

    A holder with this run's id on another host is gone: a run is restarted only after its process was declared dead. If
    that process is alive after all, the landing's journal and the lock's token fence it off.
    """
    run, host, pid, ticks = parts_of(name)
    if host == os.uname().nodename:
        return _start_ticks(pid) != ticks
    return run == run_id() or _run_ended(run)


def is_running_here(name: str, run: str) -> bool:
    """Tell whether a lock's holder is certainly that run, in a live process on this host."""
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
