"""One pass over the bytes: read, measure, land, within bounds."""
