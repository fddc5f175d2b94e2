"""A process of the performance role, for tests that kill it: `python -m tests.folder URL KAFKA PREFIX`."""

import sys
import threading

from consumers import stream
from engine import logs
from engine.settings import Settings
from gridpatrol.roles import _stopped_by_signals


def main(database: str, kafka: str, prefix: str, session_ms: str = "2000") -> None:
    """Fold until SIGTERM. The address of its metrics goes to stdout."""
    settings = Settings(role="performance", database=database, kafka=kafka, kafka_prefix=prefix,
                        kafka_session_ms=int(session_ms), listen="127.0.0.1:0")  # fmt: skip
    logs.configure("text", "INFO")
    stop = threading.Event()
    with _stopped_by_signals(stop, None):
        stream.run(settings, stop, lambda url: print(url, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
