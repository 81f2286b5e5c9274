"""Reading the catalog: images and what belongs to them, hosts, the log, figures; and what an account sees."""
