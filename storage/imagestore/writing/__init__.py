"""Writing images as chips."""
