"""Other systems' records as events."""
