"""Rules about images: naming, formats, boot, checksums, transitions, retention."""
