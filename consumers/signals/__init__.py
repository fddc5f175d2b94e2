"""The adapter of signals: takes what devices measure, and says the episodes that come of it."""
