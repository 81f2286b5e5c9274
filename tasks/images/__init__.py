"""Tasks about images."""
