"""Who comes, from where, how often, and whose runs they see: what all other rooms ask."""
