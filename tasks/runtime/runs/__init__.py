"""A task's dealings with its run and with the Prefect server: who acts, progress, events, logs, other runs."""
