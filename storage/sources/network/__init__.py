"""Connections: addresses, wire, stall."""
