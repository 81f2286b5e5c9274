"""Checksums published beside files: finding, reading and interpreting them."""
