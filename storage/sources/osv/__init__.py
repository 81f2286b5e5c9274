"""Exports of OSV records, which somebody names: read as they come, one record at a time."""
