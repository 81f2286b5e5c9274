"""The rules of the specification: pure functions and tables."""
