"""The page of access: one's own tokens; for administrators persons, robots and their tokens, accounts and their quotas."""
