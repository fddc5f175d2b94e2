"""The wall clock, the only place that reads it. In: nothing. Out: milliseconds since 1970 UTC."""

import time


def now_ms() -> int:
    """Now, in whole milliseconds UTC."""
    return time.time_ns() // 1_000_000
