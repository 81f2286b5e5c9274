"""HTTP sources."""
