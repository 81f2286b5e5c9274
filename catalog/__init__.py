"""What we know: records, rules, the catalog repository and data quality."""
