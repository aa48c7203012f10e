"""Events that were given up: how they are written, read back, and driven again."""
