"""Tasks about volumes."""
