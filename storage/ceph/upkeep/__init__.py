"""Verifying and reclaiming a pool."""
