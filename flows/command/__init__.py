"""The command line, derived from the requests."""
