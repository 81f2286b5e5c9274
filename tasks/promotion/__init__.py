"""Tasks about families: rules, latest images, watches and recalls."""
