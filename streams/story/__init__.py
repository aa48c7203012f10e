"""The story of a conversation, read back from the log: what happened, and why."""
