"""Revisions since several hosts can share a catalog, one file each."""
