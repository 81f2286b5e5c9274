"""Whom a flow works for, for the event log: set by the caller, else read from the tags of its run."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, cast, get_args

from catalog.records import Door

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

IDENTITY, DOOR = "identity:", "door:"
"""Prefixes of a run's tags that say who started it, and through which door."""


class Caller(NamedTuple):
    """Who acts. identity: name of the person or robot, `os:NAME` for a user of this host, None if unknown."""

    identity: str | None
    door: Door


_told: ContextVar[Caller | None] = ContextVar("caller", default=None)


@contextmanager
def called_by(caller: Caller) -> Iterator[None]:
    """Make `caller` return this caller within the block."""
    before = _told.set(caller)
    try:
        yield
    finally:
        _told.reset(before)


def tags_of(caller: Caller) -> list[str]:
    """Return the tags of a run that a caller starts."""
    return [f"{DOOR}{caller.door}", *([f"{IDENTITY}{caller.identity}"] if caller.identity else [])]


def terminal() -> Caller:
    """Return the caller of a command on this host's terminal."""
    uid = os.getuid()
    with suppress(KeyError):
        return Caller(f"os:{pwd.getpwuid(uid).pw_name}", "command")
    return Caller(f"os:{uid}", "command")


def caller() -> Caller:
    """Return the caller that the current flow works for."""
    from prefect.context import FlowRunContext

    if told := _told.get():
        return told
    context = FlowRunContext.get()
    return Caller(None, "Python") if context is None or context.flow_run is None else of_run(context.flow_run)


def of_run(run: "FlowRun") -> Caller:
    """Return who started a run.

    Tags are trusted: anyone who can set them on Prefect's server can do everything there.
    """
    if run.auto_scheduled or (run.created_by is not None and run.created_by.type == "SCHEDULE"):
        return Caller(None, "schedule")
    if run.deployment_id is None:
        return Caller(None, "Python")
    found = {kind: _tagged(run.tags, kind) for kind in (IDENTITY, DOOR)}
    door = found[DOOR] if found[DOOR] in get_args(Door) else "Prefect UI"
    return Caller(found[IDENTITY], cast("Door", door))


def _tagged(tags: list[str], kind: str) -> str | None:
    return next((tag.removeprefix(kind) for tag in tags if tag.startswith(kind)), None)
