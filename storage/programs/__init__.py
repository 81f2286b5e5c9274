"""The confined start of other programs, and qemu-img."""
