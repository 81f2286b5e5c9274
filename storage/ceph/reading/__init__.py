"""Reading images in a pool."""
