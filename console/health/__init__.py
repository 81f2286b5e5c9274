"""Whether all is well: health, readiness and metrics, for machines that ask again and again."""
