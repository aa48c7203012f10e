"""The loop that every stage runs on: from an event to its state and its effects."""
