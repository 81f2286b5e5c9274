"""Reading images out of chips."""
