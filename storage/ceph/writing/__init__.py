"""Writing images into a pool."""
