"""The look of pages: shared templates, language, light or dark, icons."""
