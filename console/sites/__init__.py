"""What other sites do here: keep images in an image storage of this one."""
