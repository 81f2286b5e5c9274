"""Rules about images: names, formats, boot settings, checksums, transitions, retention."""
