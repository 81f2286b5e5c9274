"""The format on disk: packs, index, manifests, journals."""
