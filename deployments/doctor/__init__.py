"""What is missing, misconfigured, stale or out of reach here: `imagewright doctor`."""
