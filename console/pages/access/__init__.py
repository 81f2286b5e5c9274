"""The page *Access*: a person's own tokens; for administrators persons, robots, their tokens, accounts and quotas."""
