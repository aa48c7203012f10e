"""Settings of tenants: stored first, then published, then used by every process."""
