"""Look at publishers for new builds, one file per kind of watch. Nothing is added here."""
