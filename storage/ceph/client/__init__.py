"""Client of a Ceph cluster."""
