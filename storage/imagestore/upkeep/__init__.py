"""Verify, reclaim, sweep, explain."""
