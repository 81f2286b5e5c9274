"""Identify visitors, limit their requests, and decide whose runs they see; used by all other rooms."""
