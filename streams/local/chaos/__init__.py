"""Faults on the real stack while a load runs, and the verdict on what was promised."""
