"""The view of an account: images that it may not see, and everything about them, do not exist for it."""

from collections.abc import Iterator

from catalog.errors import ImageNotFound
from catalog.records import Event
from catalog.repository.reading.reading import Reading
from catalog.rules.accounts.sharing import ADMIN, visible


class AccountView:
    """The view of one account. None, as on this host's own terminal: everything."""

    def __init__(self, catalog: Reading, account: str | None) -> None:
        self._catalog = catalog
        self._account = None if account is None else catalog.viewer(account)
        self._known: dict[str, bool] = {}

    def of(self, image_id: str | None) -> bool:
        """Tell whether the account sees things of an image; things of no image are for administrators only."""
        if self._account is None or self._account.name == ADMIN:
            return True
        if image_id is None:
            return False
        if image_id not in self._known:
            self._known[image_id] = self._visible(image_id)
        return self._known[image_id]

    def _visible(self, image_id: str) -> bool:
        try:
            return self._account is None or visible(self._catalog.image(image_id), self._account)
        except ImageNotFound:
            return False


def seen_events(catalog: Reading, image_id: str | None, account: str | None) -> Iterator[Event]:
    """Yield the log as an account sees it. Raises ImageNotFound if it may not see the image."""
    view, found = AccountView(catalog, account), False
    for event in catalog.events(image_id):
        if view.of(event.image_id):
            found = True
            yield event
    if image_id is not None and not found:
        raise ImageNotFound(image_id)
