"""Thin Prefect tasks: ids and records in, records out."""
