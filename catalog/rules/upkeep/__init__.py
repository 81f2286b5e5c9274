"""Rules about upkeep: recovery, deferred work, waiting, queues, webhooks."""
