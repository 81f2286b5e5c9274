"""The API, version 1: sign-in, reading, operations, runs, contents, uploads."""
