"""Sign-in with a browser."""
