"""Hosts: signs of life, draining, runs handed from one to another."""
