"""Raw: what the bytes hold that makes them a disk, and what else they may be taken for."""
