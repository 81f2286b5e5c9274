"""Revisions since hosts share a catalog, one file each."""
