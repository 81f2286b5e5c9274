"""Read accounts and work in progress."""

from collections.abc import Iterator

from catalog.records import Account, Deferred, Lease, Reservation, Usage
from catalog.repository.usage_counts import usage_of
from catalog.store import record_kinds
from catalog.store.listing import Listing, where


class AccountReading(Listing):
    """Reads accounts, usage, reservations, leases and deferred work."""

    _identity: str | None = None  # on whose behalf the catalog is read and changed

    def accounts(self) -> Iterator[Account]:
        """List the configured accounts."""
        return self._all(record_kinds.ACCOUNT)

    def account(self, name: str) -> Account:
        """Return an account; one without a configuration has the settings of the whole system."""
        return self._get(record_kinds.ACCOUNT, name) or Account(name=name, created_at=self._clock())

    def viewer(self, name: str) -> Account:
        """Return an account as viewer of images, with the projects of the acting identity if that belongs to it."""
        account = self.account(name)
        who = self._get(record_kinds.IDENTITY, self._identity) if self._identity else None
        if who is None or who.account != name or not who.projects:
            return account
        return account.model_copy(update={"projects": who.projects})

    def usage(self, account: str) -> Usage:
        """Return the usage and reservations of an account."""
        with self._reading() as transaction:
            return usage_of(transaction, account)

    def usages(self) -> Iterator[Usage]:
        """List the usage of each account that has images, reservations or limits of its own."""
        names = {counts.account for counts in self._all(record_kinds.COUNTED)}
        names.update(r.account for r in self.reservations() if r.account)
        names.update(account.name for account in self.accounts())
        return (self.usage(name) for name in sorted(names))

    def reservations(self, account: str | None = None) -> Iterator[Reservation]:
        """List the reservations of arriving images."""
        return self._all(record_kinds.RESERVATION, where(account=account))

    def lease(self, image_id: str) -> Lease:
        """Return the lease of an image; holder None: nobody works on it."""
        return self._get(record_kinds.LEASE, image_id) or Lease(image_id=image_id, created_at=self._clock())

    def pending(self, *, storage: str | None = None, image_id: str | None = None) -> Iterator[Deferred]:
        """List deferred work, with the reasons."""
        return self._all(record_kinds.DEFERRED, where(storage=storage, image_id=image_id))
