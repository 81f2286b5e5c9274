"""Tasks about families: their rules, what their latest is, and recalls."""
