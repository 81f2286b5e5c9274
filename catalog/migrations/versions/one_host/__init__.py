"""Revisions from before hosts shared a catalog, one file each."""
