"""How tasks use their run and the Prefect server: caller, progress, events, logs, other runs."""
