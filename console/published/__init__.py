"""What families hand on, at addresses that stay: for pipelines, and for clients of images."""
