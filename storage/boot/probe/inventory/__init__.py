"""What is installed in a guest: read from its files, inside the confined process."""
