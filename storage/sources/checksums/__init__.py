"""Checksums that publishers put beside their files: found, read, understood."""
