"""One command a file; loaded only when it is the one typed."""
