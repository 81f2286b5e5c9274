"""The host's worker: Prefect workers whose runs are forked from a process with everything preloaded."""
