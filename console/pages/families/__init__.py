"""Families of images: what is the latest of each, since when, and which builds wait for it or were refused."""
