"""The catalog repository: reading, changing, leases, reservations, visibility."""
