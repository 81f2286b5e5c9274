"""Access for other sites, which keep images in an image storage of this one."""
