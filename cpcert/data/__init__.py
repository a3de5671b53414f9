"""Data sources of an instance, and the files they read."""
