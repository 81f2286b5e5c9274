"""How pages are shown: the templates they share, their language, light or dark, icons."""
