"""Extraction of packed members from files."""
