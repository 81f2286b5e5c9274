"""Shared steps of setting and deleting a named record: a family, a watch, a webhook or a storage."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from catalog.errors import NotFound
from catalog.records import Action, Family, Plan, Watch

R = TypeVar("R")


def known_one(find: Callable[[str], R], name: object) -> R | None:
    """Return the record of a name, None if there is none."""
    try:
        return find(str(name))
    except NotFound:
        return None


def whose_and_when(known: Family | Watch | None, account: str, now: datetime) -> dict[str, object]:
    """Return the fields that no request gives: owner, creation time and update time."""
    made = (known.owner, known.created_at) if known is not None else (account, now)
    return {"owner": made[0], "created_at": made[1], "updated_at": now}


def one_step(operation: str, verb: str, subject: str, reason: str) -> Plan:
    """Return a plan of one action."""
    return Plan(operation=operation, actions=(Action(verb=verb, subject=subject, reason=reason),), summary=reason)
