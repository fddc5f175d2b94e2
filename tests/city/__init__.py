"""A real city's record, judged by code that shares nothing with the engine."""
