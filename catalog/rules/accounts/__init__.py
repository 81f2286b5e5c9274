"""Rules about accounts: sharing, quotas, configuring."""
