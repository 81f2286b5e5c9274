"""ISO 9660 and UDF: the volume, its boot images, and whether both are complete."""
