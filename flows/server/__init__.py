"""Which Prefect server a call uses."""
