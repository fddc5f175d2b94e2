"""The runtime: the log, the worker, the store, the door, settings and telemetry."""
