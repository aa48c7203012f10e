"""Replay: deciding again what is on the log, from what was heard then (promise I8)."""
