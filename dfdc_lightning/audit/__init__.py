"""What is in a face cache, before any detector is trained on it."""
