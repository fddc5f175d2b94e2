"""What `gridpatrol serve` runs in this process: the door with all behind it, or one role of the distributed run.

Only that is imported: a role without a door needs no HTTP server, and the embedded run no client of Kafka.
"""

import logging
from collections.abc import Callable

from engine.runtime import Engine
from engine.settings import Settings
from gridpatrol import collector

log = logging.getLogger(__name__)


def run(
    settings: Settings, *, opened: Callable[[str, Engine], None] | None = None, seconds: float | None = None
) -> None:
    """Until a signal, or for so many seconds. `opened` is called when a door opens; a role without one logs its
    address."""
    if settings.kafka and settings.role != "gateway":
        with collector.loading():
            from gridpatrol.run import roles

        return roles.run(settings, lambda url: log.info("serving", extra={"url": url, "role": settings.role}), seconds)
    with collector.loading():
        from gridpatrol.run.serve import serve

    serve(settings, opened=opened, seconds=seconds)
