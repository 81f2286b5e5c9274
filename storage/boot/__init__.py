"""What would boot, and trying it."""
