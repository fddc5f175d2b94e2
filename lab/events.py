"""Events as an app sends them, about the cases of the sample pack (Weiyang), with instants of a wall clock in China."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

CHINA = timezone(timedelta(hours=8))
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def at(text: str) -> int:
    """`03-02 09:00`, a wall clock in China in 2026 (or with the year before it), as milliseconds UTC."""
    text = text if text[4:5] == "-" else f"2026-{text}"
    return round(datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp() * 1000)


def instant(ms: int) -> str:
    """Milliseconds UTC as an event spells them."""
    return datetime.fromtimestamp(ms / 1000, CHINA).isoformat(timespec="milliseconds")


def subject(home: str = "WY01", number: int = 1) -> str:
    """The id of a case."""
    return f"{home}.01900000-0000-7000-8000-{number:012x}"


def event(kind: str, actor: str, time: int, *, case: str = "", id: str = "e1", **data: Any) -> dict[str, Any]:
    """An event as an app sends it. `kind` is the type without prefix and version."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": "app/test",
        "type": f"gridpatrol.{kind}.v1",
        "subject": case or subject(),
        "time": instant(time),
        "actor": actor,
        "data": data,
    }
