"""What Prometheus reads: counters as the engine goes, gauges of stored state."""

from prometheus_client import disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]
"""A second series for each counter, with the instant at which it began, is twice the scrape and no alarm's need."""
