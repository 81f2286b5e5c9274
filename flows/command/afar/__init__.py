"""Commands sent to a remote service, and signing in there."""
