"""Lines, by which lists of images are searched and sorted, and their SQL."""
