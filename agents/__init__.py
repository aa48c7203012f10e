"""What is decided and done: plain async functions of one event and ports."""
