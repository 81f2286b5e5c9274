"""The command line, generated from the requests."""
