"""Alerts at a terminal: the list, and a line of the feed."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.views.names import Names
from engine.views.notices import NoticeLine
from gridpatrol.render.tables import LocalClock, table
from gridpatrol.render.terms import ALERT_ENDS, MOVES, RUNGS, both
from workflows.definitions import CLOCKS


def alert_list(rows: Iterable[Any], names: Names) -> None:
    """Print alerts, the latest first. Who has acknowledged an alert is ticked."""
    clock = LocalClock(names)
    lines = [
        (
            clock.minute(row.raised_at),
            _alert(row.clock, row.kind),
            f"L{row.level}" if row.level else "",
            row.case_id,
            both(ALERT_ENDS, row.status),
            ", ".join(
                names.post(code).name + (" ✓" if code in msgspec.json.decode(row.acknowledged_by) else "")
                for code in msgspec.json.decode(row.recipients)
            ),
        )
        for row in rows
    ]
    table(("raised", "alert", "level", "incident", "status", "told"), lines)


def alert_members(row: Any, names: Names) -> dict[str, Any]:
    """An alert as JSON shows it."""
    return {
        "id": row.id,
        "case": row.case_id,
        "definition": row.definition,
        "kind": row.kind,
        "clock": row.clock,
        "level": row.level,
        "cycle": row.cycle,
        "category": row.category,
        "department": row.department,
        "recipients": json.loads(row.recipients),
        "acknowledged_by": json.loads(row.acknowledged_by),
        "due_at": names.instant(row.due_at),
        "deadline": names.maybe(row.due),
        "raised_at": names.instant(row.raised_at),
        "not_before": names.maybe(row.not_before),
        "status": row.status,
        "ended_at": names.maybe(row.ended_at),
        "ended_by": row.ended_by,
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
    alert = json.loads(data)
    if alert["kind"] == "notice":
        cases = alert["case"] or f"{len(alert['cases']) + alert.get('more', 0)} 件 cases"
        return f"告知 notice  {both(MOVES, alert['on'])}  {cases}  → {', '.join(alert['recipients'])}"
    recipients = ", ".join(alert["recipients"])
    what, due = both(ALERT_ENDS, alert["what"]), _alert(alert["clock"], alert["kind"])
    return f"{what}  {due}  {alert['case']}  → {recipients}"


def _alert(clock: str, kind: str) -> str:
    """`处置 handle: 到期 due`."""
    return f"{both(CLOCKS, clock)}: {both(RUNGS, kind)}" if clock else both(RUNGS, kind)
