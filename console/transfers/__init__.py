"""Bytes through the console: uploads and downloads."""
