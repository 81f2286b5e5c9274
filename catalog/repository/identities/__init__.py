"""Persons and robots: reading and changing them, their credentials, signing in."""
