"""Who notices that a process no longer makes progress, and what it tells of itself."""
