"""What lists of images are found and sorted by, and how SQL keeps it beside the records."""
