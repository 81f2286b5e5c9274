"""Read the catalog: images and their parts, accounts, hosts, the log, figures; and the visibility for an account."""
