"""Tests against real databases: each one runs on SQLite and on PostgreSQL."""
