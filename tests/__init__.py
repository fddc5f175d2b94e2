"""Tests in three tiers: unit (no I/O), integration (each store), acceptance (real processes)."""
