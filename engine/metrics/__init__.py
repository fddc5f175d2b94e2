"""What Prometheus reads: counters as the engine goes, gauges of stored state."""
