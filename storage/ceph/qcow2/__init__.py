"""qcow2 files kept as the guest's blocks in place."""
