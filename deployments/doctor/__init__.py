"""`imagewright doctor`: find what is missing, misconfigured, stale or unreachable on this host."""
