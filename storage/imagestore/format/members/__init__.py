"""Packed members of files, and how to reproduce them."""
