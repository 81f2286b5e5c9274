"""Object stores: directory, S3, memory, and wrappers."""
