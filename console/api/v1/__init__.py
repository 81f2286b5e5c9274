"""The API, version 1: who asks, reading, operations, runs, contents."""
