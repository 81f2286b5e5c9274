"""Families of images: the latest of each, since when, and which builds wait or were refused."""
