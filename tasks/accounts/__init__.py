"""Tasks about accounts."""
