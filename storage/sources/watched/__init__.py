"""What publishers say of their builds: pages, indexes and lists, each asked for only if it changed."""
