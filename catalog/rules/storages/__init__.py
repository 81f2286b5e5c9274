"""Rules about storages: kinds, sources, registering, drift."""
