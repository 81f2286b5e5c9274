"""Runs recovered, work retried, catalog checked."""
