"""Alerts: who is told that something is due, and the feed that tells them."""
