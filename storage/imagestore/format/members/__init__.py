"""Packed members of files, and how they are made again."""
