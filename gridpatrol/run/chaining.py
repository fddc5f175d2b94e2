"""The chains of a process with a door: the embedded server, or one of the gateways of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consumers.audit.loop import ChainLoop, Publish
from engine.settings import Settings
from engine.store.database import Database


def file_of_anchors(settings: Settings) -> Path | None:
    """The file of the anchors; None: the settings name none."""
    return Path(settings.anchors) if settings.anchors else None


@contextmanager
def chaining(
    settings: Settings, database: Database, publish: Publish | None = None, *, leased: bool
) -> Iterator[ChainLoop]:
    """Steps, letters and acts are chained meanwhile. `leased`: another process may have its place."""
    loop = ChainLoop(database, file_of_anchors(settings), publish, leased=leased)
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()
