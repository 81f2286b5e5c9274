"""VMDK: header, tables, rules, guest disk."""
