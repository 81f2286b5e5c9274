"""The chip engine: content-addressed, compressed pieces in packs, on any object store."""
