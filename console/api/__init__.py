"""What programs ask the service."""
