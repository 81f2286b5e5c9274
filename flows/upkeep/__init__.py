"""Scheduled upkeep."""
