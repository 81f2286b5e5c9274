"""Rows in memory, SQLite and PostgreSQL, and their schema."""
