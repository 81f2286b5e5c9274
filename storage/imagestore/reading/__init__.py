"""Reading images from chips."""
