"""The command, and the only place that puts the parts together."""
