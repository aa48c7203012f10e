"""What is said: records, topics, errors and their wire format. Imports nothing of ours."""
