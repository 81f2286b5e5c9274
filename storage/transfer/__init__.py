"""One pass over the bytes: read, measure and land them in bounded memory."""
