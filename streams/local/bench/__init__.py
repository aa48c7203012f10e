"""Benchmarks that state a ratio: ours against yardsticks in the same run."""
