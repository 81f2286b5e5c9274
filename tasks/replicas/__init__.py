"""Tasks about replicas."""
