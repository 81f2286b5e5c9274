"""Uploads and downloads through the console."""
