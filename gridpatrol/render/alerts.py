"""Alerts at a terminal: the list, and a line of the feed."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.views.feed_words import names_of, sentence
from engine.views.names import Names
from engine.views.notices import NoticeLine
from gridpatrol.render.tables import LocalClock, table
from gridpatrol.render.terms import both
from schemas.line_words import ALERT_ENDS, MOVES, RUNGS
from workflows.definitions import CLOCKS, DEFINITIONS, ORDERED


def alert_list(rows: Iterable[Any], names: Names) -> None:
    """Print alerts, the latest first. Who has acknowledged an alert is ticked."""
    clock = LocalClock(names)
    lines = [
        (
            clock.minute(row.raised_at),
            _alert(row.clock, row.kind),
            f"{'stage ' if row.clock in ORDERED else 'L'}{row.level}" if row.level else "",
            f"{DEFINITIONS[row.definition].zh} {row.definition}",
            row.case_id,
            both(ALERT_ENDS, row.status),
            ", ".join(
                names.post(code).name + (" ✓" if code in msgspec.json.decode(row.acknowledged_by) else "")
                for code in msgspec.json.decode(row.recipients)
            ),
        )
        for row in rows
    ]
    table(("raised", "alert", "level", "kind", "case", "status", "told"), lines)


def alert_members(row: Any, names: Names) -> dict[str, Any]:
    """An alert as JSON shows it: codes, and their names beside them as in a line of the feed."""
    recipients: list[str] = msgspec.json.decode(row.recipients)
    return {
        "id": row.id,
        "case": row.case_id,
        "definition": row.definition,
        "kind": row.kind,
        "clock": row.clock,
        "level": row.level,
        "cycle": row.cycle,
        "path": row.path,
        "category": row.category,
        "department": row.department,
        "recipients": recipients,
        "acknowledged_by": json.loads(row.acknowledged_by),
        "due_at": names.instant(row.due_at),
        "deadline": names.maybe(row.due),
        "raised_at": names.instant(row.raised_at),
        "not_before": names.maybe(row.not_before),
        "status": row.status,
        "ended_at": names.maybe(row.ended_at),
        "ended_by": row.ended_by,
        "names": msgspec.to_builtins(names_of(row, recipients, row.ended_by, names)),
        "sentence": msgspec.structs.asdict(sentence(row, row.status, row.ended_by, names)),
    }


def notice_list(lines: Iterable[NoticeLine]) -> None:
    """Print notices, the latest first. One that is not told yet says when it will be."""
    rows = [
        (
            line.raised_at[:16].replace("T", " "),
            both(MOVES, line.on),
            line.case,
            "" if line.told else (line.not_before or "")[:16].replace("T", " "),
            ", ".join(post.name for post in line.recipients),
        )
        for line in lines
    ]
    table(("raised", "notice", "case", "waits until", "told"), rows)


def feed_line(data: str) -> str:
    """An event of the feed, given as its JSON, in one line."""
    line = json.loads(data)
    recipients, said = line["names"]["recipients"].values(), line["sentence"]
    to = f"  → {', '.join(recipients)}" if recipients else ""
    return f"{both(ALERT_ENDS, line['what'])}  {said['zh']} {said['en']}  {line['case']}{to}"


def _alert(clock: str, kind: str) -> str:
    """`处置 handle: 到期 due`."""
    return f"{both(CLOCKS, clock)}: {both(RUNGS, kind)}" if clock else both(RUNGS, kind)
