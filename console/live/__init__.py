"""Live updates of pages: what has changed, and the progress of runs."""
