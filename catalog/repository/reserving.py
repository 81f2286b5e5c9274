"""Reserve quota and space for arriving images, within a change and so atomically."""

from collections.abc import Mapping

from catalog.errors import CapacityExceeded, ReservationNotFound
from catalog.records import Reservation
from catalog.repository.usage_counts import usage_of
from catalog.repository.writing import Writing
from catalog.rules.accounts.quotas import check_capacity, check_quota, limits_of
from catalog.settings import load_settings
from catalog.store import record_kinds

NOTHING_MEASURED: Mapping[str, int] = {}


class Reserving(Writing):
    """Reserves, grows and releases. A reservation belongs to one image: making it again replaces it."""

    def reserve(
        self,
        *,
        subject: str,
        account: str,
        storages: tuple[str, ...] = (),
        size_bytes: int = 0,
        available: Mapping[str, int] = NOTHING_MEASURED,
    ) -> Reservation:
        """Reserve one image of `size_bytes` (0: not known yet) for an account, and as much space on each storage.

        subject: `image:<id>`. available: storage → measured bytes left after its reserve; others are not checked.
        Raises QuotaExceeded, CapacityExceeded; an earlier reservation then stays.
        """
        known = self._transaction.get(record_kinds.RESERVATION, (subject,))
        asked = Reservation(
            subject=subject,
            account=account,
            storages=storages,
            size_bytes=size_bytes,
            landed_bytes=min(known.landed_bytes, size_bytes) if known else 0,
            created_at=known.created_at if known else self._clock(),
        )
        return self._set_aside(asked, known, available)

    def reserve_room(
        self, *, subject: str, place: str, size_bytes: int, available_bytes: int, name: str = ""
    ) -> Reservation:
        """Reserve space that counts for no account, e.g. for the file of an export; replaces an earlier reservation.

        available_bytes: measured. name: of the place, for people; default: the place. Raises CapacityExceeded if it
        does not fit beside the other reservations there.
        """
        others = [r for r in self.reservations() if r.subject != subject]
        try:
            check_capacity(place, available_bytes, others, size_bytes)
        except CapacityExceeded as full:
            raise CapacityExceeded(name or place, full.needed, full.available, other_place=True) from full
        self.release(subject)
        room = Reservation(
            subject=subject, account="", storages=(place,), size_bytes=size_bytes, created_at=self._clock()
        )
        self._transaction.insert(record_kinds.RESERVATION, room)
        return room

    def grow_reservation(
        self,
        subject: str,
        *,
        size_bytes: int | None = None,
        landed_bytes: int | None = None,
        available: Mapping[str, int] = NOTHING_MEASURED,
    ) -> Reservation:
        """Raise a reservation to `size_bytes` in all and set how much of it is written already; never lower either.

        Raises ReservationNotFound, QuotaExceeded, CapacityExceeded; an earlier reservation then stays.
        """
        known = self._transaction.get(record_kinds.RESERVATION, (subject,))
        if known is None:
            raise ReservationNotFound(subject)
        landed = max(known.landed_bytes, landed_bytes or 0)
        size = max(known.size_bytes, size_bytes or 0, landed)
        asked = known.model_copy(update={"size_bytes": size, "landed_bytes": landed})
        return self._set_aside(asked, known, available)

    def release(self, subject: str) -> None:
        """Release a reservation: the image counts by itself now, or is gone. A no-op if there is none."""
        self._transaction.delete(record_kinds.RESERVATION, (subject,))

    def _set_aside(self, asked: Reservation, known: Reservation | None, available: Mapping[str, int]) -> Reservation:
        if known is None or not _covers(known, asked):
            self._check(asked, available)
        if known is None:
            self._transaction.insert(record_kinds.RESERVATION, asked)
        else:
            self._transaction.update(record_kinds.RESERVATION, asked)
        return asked

    def _check(self, asked: Reservation, available: Mapping[str, int]) -> None:
        limits = limits_of(self.account(asked.account), load_settings())
        usage = usage_of(self._transaction, asked.account, but=asked.subject)
        check_quota(usage, limits, 1, asked.size_bytes)
        others = [r for r in self.reservations() if r.subject != asked.subject]
        for storage in asked.storages:
            if storage in available:
                check_capacity(storage, available[storage], others, asked.size_bytes - asked.landed_bytes)


def _covers(known: Reservation, asked: Reservation) -> bool:
    return (
        known.account == asked.account
        and known.size_bytes >= asked.size_bytes
        and set(known.storages) >= set(asked.storages)
    )
