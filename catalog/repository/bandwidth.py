"""Share the bandwidth of an image storage among all its writers, across processes and hosts.

One row per storage holds the moment up to which its bandwidth is assigned. A writer takes the next slice of time after
it and waits for its turn, so all writers together stay under the cap. Writers need not be counted, what one leaves
others use, and a dead one simply stops asking.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog.records import Pacing
from catalog.store import record_kinds
from catalog.store.protocol import Store, Transaction

LONGEST = timedelta(seconds=60)
"""The longest wait: a row further ahead was left by a clock that has been set back."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Permission to write. wait_s: seconds to wait first; size_bytes: how much may then be written at once."""

    wait_s: float
    size_bytes: int


def next_slice(store: Store, image_storage: str, seconds: float) -> Slice | None:
    """Take the next `seconds` of a storage's bandwidth; None if the storage has no cap or no longer exists."""
    with store.reading() as transaction:  # without a cap no writer has to wait for another
        if _cap(transaction, image_storage) is None:
            return None
    with store.writing() as transaction:
        cap = _cap(transaction, image_storage)
        if cap is None:
            return None
        return Slice(_take(transaction, image_storage, timedelta(seconds=seconds)), int(cap * seconds))


def _cap(transaction: Transaction, image_storage: str) -> int | None:
    storage = transaction.get(record_kinds.IMAGE_STORAGE, (image_storage,))
    return storage.bandwidth_bytes_s if storage else None


def _take(transaction: Transaction, image_storage: str, length: timedelta) -> float:
    known, now = transaction.get(record_kinds.PACING, (image_storage,)), transaction.now()
    begins = _begins(known.free_at if known else now, now)
    after = Pacing(image_storage=image_storage, free_at=begins + length)
    if known is None:
        transaction.insert(record_kinds.PACING, after)
    else:
        transaction.update(record_kinds.PACING, after)
    return (begins - now).total_seconds()


def _begins(free_at: datetime, now: datetime) -> datetime:
    return free_at if now < free_at <= now + LONGEST else now
