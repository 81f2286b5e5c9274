"""Talking to a Ceph cluster."""
