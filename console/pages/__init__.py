"""The console's pages: tabs, rows, details, forms."""
