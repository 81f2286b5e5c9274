"""Persons and robots: reading and changing them, what proves them, signing in."""
