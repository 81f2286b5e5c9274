"""Adding images."""
