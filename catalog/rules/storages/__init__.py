"""Rules about storages: kinds, sources, hosts, registering, landings, cache, drift."""
