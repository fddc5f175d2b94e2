"""Tests against real processes, spoken to as their users do."""
