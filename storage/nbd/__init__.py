"""The server side of NBD."""
