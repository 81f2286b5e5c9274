"""Tasks about webhooks: their records, and deliveries of events."""
