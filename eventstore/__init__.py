"""What happened: append, read, verify, follow. Knows nothing of containers; usable for any set of events."""
