"""Builds that families publish at stable addresses, for pipelines and image clients."""
