"""The state store of a stage: one record for each conversation, its table, and whose it is."""
