"""What pages are told as it happens: which things changed, and how far runs are."""
