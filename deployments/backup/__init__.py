"""Backup and restore of everything but the images: the catalog, keys and Prefect's database."""
