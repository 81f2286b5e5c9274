"""Data-quality suites. Great Expectations is imported inside functions only."""
