"""Health, readiness and metrics, for monitoring that polls."""
