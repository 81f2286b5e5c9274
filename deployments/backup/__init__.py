"""Backup and restore of all that is not images: the catalog, keys, Prefect's database."""
