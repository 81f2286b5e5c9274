"""Raw files: contents that make the bytes a disk, and other kinds they may be mistaken for."""
