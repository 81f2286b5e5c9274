"""Reading images of a pool."""
