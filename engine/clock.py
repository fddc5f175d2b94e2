"""The wall clock. Nothing else in the engine reads it."""

import time


def now_ms() -> int:
    """Now, in whole milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000
