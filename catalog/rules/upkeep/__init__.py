"""Rules about upkeep: recovery, deferred work."""
