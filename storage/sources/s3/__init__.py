"""S3 sources."""
