"""Stores of rows in memory, SQLite and PostgreSQL, and their schema."""
