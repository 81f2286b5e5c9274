"""Tasks of upkeep: recover runs, retry deferred work, check the catalog."""
