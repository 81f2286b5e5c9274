"""The event log: a chain of entries, moments, differences, lineage."""
