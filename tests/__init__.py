"""Tests in tiers: unit (no I/O), integration (each store, each log), acceptance (real processes), drill (long)."""
