"""Converting inside a pool, proven."""
