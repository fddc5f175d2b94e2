"""Structured logs: one line per event on stderr, for people (text) or for machines (json).

The root logger of the standard library is formatted by structlog, so that modules need nothing but
`logging.getLogger(__name__)`. Identity, contact and free text never reach a log: they were sealed at the door.
"""

import logging
import sys
import time
import traceback
import unicodedata
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from engine.errors import SettingsError

_CHATTY = ("alembic", "uvicorn.error", "uvicorn.access", "httpx", "kafka", "aiokafka", "faust")
"""Libraries whose lines at INFO are noise in our log."""
_REPEATING = ("kafka", "aiokafka")
"""Libraries that repeat a line for every try while a broker is away."""
REPEAT_S = 30.0
"""How often such a line is let through."""
TALLY_S = 10.0
"""How often a line is written that a sender can cause as often as it likes."""
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that are no ink: controls, formats, halves of characters, ends of lines and paragraphs."""


def configure(log_format: str, level: str) -> None:
    """Set the root logger up; once, by the command. SettingsError for an unknown level."""
    name = level.upper()
    if name not in logging.getLevelNamesMapping():
        raise SettingsError(f"log_level must be one of DEBUG, INFO, WARNING, ERROR, got {level!r}")
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
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=write_traceback)
        last = [tidy, escape_values, renderer]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    handler.addFilter(_Sparing())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(name)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def escaped(text: str) -> str:
    """A text on one line: what ends a line, moves the cursor or turns the direction of writing stands as its escape."""
    return "".join(repr(one)[1:-1] if unicodedata.category(one) in UNSEEN else one for one in text)


def escape_values(_: object, __: str, values: EventDict) -> EventDict:
    """Escape all texts of a line: nobody who is quoted in one can write another."""
    return {name: escaped(value) if isinstance(value, str) else value for name, value in values.items()}


def write_traceback(out: TextIO, error: ExcInfo) -> None:
    """A traceback, indented: no line of it can be taken for a line of the log."""
    text = "".join(traceback.format_exception(*error))
    out.writelines(f"\n  {escaped(line)}" for line in text.splitlines())


class _Sparing(logging.Filter):
    """Lets a line of a repeating library through once in a while: an outage does not fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _REPEATING or record.levelno < logging.WARNING:
            return True
        line = (record.pathname, record.lineno)
        if time.monotonic() - self._last_s.get(line, -REPEAT_S) < REPEAT_S:
            return False
        self._last_s[line] = time.monotonic()
        return True


class Tally:
    """Lines that a sender can cause as often as it likes: each kind is written once in a while, with its number.

    The kinds are those of the values, which are to come from a bounded set.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._kinds: dict[tuple[str, ...], tuple[float, int]] = {}  # when it was written, and how many came since

    def tell(self, line: str, times: int = 1, *, example: Mapping[str, str] | None = None, **what: str) -> None:
        """Count a line of these values, and write it unless it was written just now. An `example` goes with the line
        and makes no kind of its own: its values may be any."""
        kind, now_s = (line, *what.values()), time.monotonic()
        last_s, before = self._kinds.get(kind, (now_s - TALLY_S, 0))
        if now_s - last_s < TALLY_S:
            self._kinds[kind] = last_s, before + times
        else:
            self._kinds[kind] = now_s, 0
            self._log.warning(line, extra={**what, **(example or {}), "times": before + times})
