"""The steps of an add."""
