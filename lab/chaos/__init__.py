"""A whole installation is broken under load, then judged."""
