"""What a file is, whether it is safe, how it is converted, and what would boot."""
