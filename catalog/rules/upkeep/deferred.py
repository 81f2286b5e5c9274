"""Work that could not be done now: what it is called, and when it is tried again.

The wait doubles from one minute up to six hours, so that a storage that is gone for days costs few questions.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from catalog.records import Deferred

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
PROVE_ON = "verify replica"
"""The operation that remembers how far a proof in pieces came: gone together with the replica."""
_NAMES = UUID("5f0f6d3e-0d5c-4a53-9a1e-6d6f3a2c7b10")


def work_id(operation: str, subject: str, storage: str, location: str) -> str:
    """Return the id of a piece of work: the same work put off twice is one entry."""
    return str(uuid5(_NAMES, f"{operation}\n{subject}\n{storage}\n{location}"))


def host_of_work(work: Deferred, owners: Mapping[str, str | None]) -> str | None:
    """Return the host that alone can do it, None where any can. owners: of image storages, by their names.

    An export that lies on a host's own disk names it in its location: `file://HOST/path`.
    """
    location = urlsplit(work.location) if work.location.startswith("file://") else None
    return (location.netloc if location else "") or owners.get(work.storage)


def tried_again(work: Deferred, reason: str, now: datetime) -> Deferred:
    """Return the entry after one more attempt that failed."""
    return work.model_copy(update={"reason": reason, "attempts": work.attempts + 1, "tried_at": now})


def due_again(work: Deferred, now: datetime) -> bool:
    """Tell whether work should be tried now. The boundary counts as due."""
    if work.tried_at is None:
        return True
    doublings = min(max(work.attempts - 1, 0), 20)
    return now - work.tried_at >= min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)
