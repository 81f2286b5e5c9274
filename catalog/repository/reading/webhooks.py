"""Read webhooks and their deliveries."""

from collections.abc import Iterator

from catalog.errors import WebhookNotFound
from catalog.records import Delivery, Webhook
from catalog.store import record_kinds
from catalog.store.listing import Listing, where


class WebhookReading(Listing):
    """Reads webhooks and deliveries."""

    def webhooks(self) -> Iterator[Webhook]:
        """List webhooks by name."""
        return self._all(record_kinds.WEBHOOK)

    def webhook(self, name: str) -> Webhook:
        """Return one webhook. Raises WebhookNotFound."""
        return self._need(record_kinds.WEBHOOK, name, WebhookNotFound)

    def webhook_position(self, name: str) -> int:
        """Return the last log entry for which deliveries to a webhook were created; 0 if there is no such webhook."""
        cursor = self._get(record_kinds.WEBHOOK_CURSOR, name)
        return cursor.sequence if cursor else 0

    def deliveries(self, webhook: str | None = None, *, status: str | None = None) -> Iterator[Delivery]:
        """List deliveries by webhook, oldest event first."""
        return self._all(record_kinds.DELIVERY, where(webhook=webhook, status=status))
