"""What listens to facts: performance figures and alerts."""
