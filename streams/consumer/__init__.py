"""Consumers whose commits never pass an event that is not finished (promise I6)."""
