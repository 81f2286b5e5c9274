"""Tasks about storages."""
