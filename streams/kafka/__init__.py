"""Kafka as administrators, producers and readers outside of any stage see it."""
