"""Exports of OSV records at given addresses, read as a stream, one record at a time."""
