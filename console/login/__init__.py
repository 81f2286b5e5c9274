"""Coming in with a browser."""
