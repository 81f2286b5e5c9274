"""Rules about accounts: roles, sharing, quotas, configuration, sign-in."""
