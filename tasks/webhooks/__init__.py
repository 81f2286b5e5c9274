"""Tasks about webhooks: who is told of events, and the telling."""
