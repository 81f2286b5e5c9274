"""qcow2: header, tables, snapshots, rules, guest disk."""
