"""Conversion inside a pool, with proof of the result."""
