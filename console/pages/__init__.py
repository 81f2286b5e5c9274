"""What people see: tabs, rows, details, forms."""
