"""Targets (目标责任书): tables of the standards by which measured values are judged, and what a year's value is."""
