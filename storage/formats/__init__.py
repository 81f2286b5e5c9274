"""File formats: detection, safety rules, conversion."""
