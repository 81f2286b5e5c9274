"""Archives and compressed files, unpacked as they are read."""
