"""Looking at what publishers have put out: one kind of watch a file. Nothing is added here."""
