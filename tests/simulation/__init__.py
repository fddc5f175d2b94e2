"""Runs that must not matter: the same events under other slices, partitions, databases and accidents."""
