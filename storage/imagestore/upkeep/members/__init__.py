"""Taking packed members out of files."""
