"""What takes up runs on a host: Prefect workers whose runs are forked from a process that has everything loaded."""
