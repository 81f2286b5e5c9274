"""The page that one comes in by: what is there, what it takes, what failed and what to do, what is being done, what changed."""
