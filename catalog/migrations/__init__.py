"""Schema revisions of the catalog, forward only: an older program refuses a newer database."""
