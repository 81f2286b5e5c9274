"""ISO 9660 and UDF: the volume, what boots from it, and whether both are whole."""
