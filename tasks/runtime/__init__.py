"""What every task uses: resources, locks, retries, progress."""
