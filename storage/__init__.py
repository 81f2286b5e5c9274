"""Bytes: sources, formats, chips and image storages."""
