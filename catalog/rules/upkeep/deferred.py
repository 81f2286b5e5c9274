"""Deferred work: its id, and when it is retried.

The wait doubles from one minute up to six hours, so that a storage that is away for days is asked rarely.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from catalog.records import Deferred

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
PROVE_ON = "verify replica"
"""The operation that stores the progress of a verification in parts; removed together with the replica."""
_NAMES = UUID("5f0f6d3e-0d5c-4a53-9a1e-6d6f3a2c7b10")


def work_id(operation: str, subject: str, storage: str, location: str) -> str:
    """Return the id of deferred work; deferring the same work twice gives one entry."""
    return str(uuid5(_NAMES, f"{operation}\n{subject}\n{storage}\n{location}"))


def host_of_work(work: Deferred, owners: Mapping[str, str | None]) -> str | None:
    """Return the only host that can do the work, None if any can. owners: of image storages, by name.

    The location of an export on a host's own disk names the host: `file://HOST/path`.
    """
    location = urlsplit(work.location) if work.location.startswith("file://") else None
    return (location.netloc if location else "") or owners.get(work.storage)


def tried_again(work: Deferred, reason: str, now: datetime) -> Deferred:
    """Return the entry after one more failed attempt."""
    return work.model_copy(update={"reason": reason, "attempts": work.attempts + 1, "tried_at": now})


def due_again(work: Deferred, now: datetime) -> bool:
    """Tell whether work is due now. The boundary counts as due."""
    if work.tried_at is None:
        return True
    doublings = min(max(work.attempts - 1, 0), 20)
    return now - work.tried_at >= min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)
