"""Publishers' pages, indexes and lists of builds, each fetched only if it changed."""
