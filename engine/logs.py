"""Structured logs: one line per event on stderr, for people (text) or for machines (json).

In: the settings `log_format` and `log_level`. Out: the root logger of the standard library, formatted by structlog,
so that modules need nothing but `logging.getLogger(__name__)`. Identity, contact and free text never reach a log:
they were sealed at the door.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

from engine.errors import SettingsError

_CHATTY = ("alembic.runtime.migration", "uvicorn.error", "uvicorn.access", "httpx")
"""Libraries that say at INFO what a reader of our log does not look for."""


def configure(log_format: str, level: str) -> None:
    """Set the root logger up. Called once, by the command."""
    name = level.upper()
    if name not in logging.getLevelNamesMapping():
        raise SettingsError(f"log_level must be one of DEBUG, INFO, WARNING, ERROR, got {level!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(name)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _formatter(log_format: str) -> structlog.stdlib.ProcessorFormatter:
    """Every record gets its instant (UTC), level and logger; the last step renders it."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tidy = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        as_json = structlog.processors.JSONRenderer(ensure_ascii=False)
        last: list[Processor] = [tidy, structlog.processors.format_exc_info, as_json]
    else:
        plain = structlog.dev.plain_traceback
        last = [tidy, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
