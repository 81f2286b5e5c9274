"""Verification and reclamation of a pool."""
