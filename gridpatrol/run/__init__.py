"""Processes: how each is put together, and when it ends."""
