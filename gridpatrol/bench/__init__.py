"""What an event costs, how long it takes, and how much one machine carries: `gridpatrol bench`."""

FAMILIES = (
    "batches",
    "patrols",
    "door",
    "incidents",
    "handwritten",
    "readable",
    "alerts",
    "decide",
    "replay",
    "timers",
    "memory",
)
"""Measurements that can be asked for by name."""
APART = ("growth", "signals")
"""Those that are made only where they are asked for."""
