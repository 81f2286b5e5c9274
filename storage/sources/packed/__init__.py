"""Archives and compressed files, unpacked on the way."""
