"""What commands ask on the host itself: its own catalog."""
