"""One whole replica: copied, synced, converted, exported, proven."""
