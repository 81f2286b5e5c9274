"""The catalog: reading, changing, leases, reservations, visibility."""
