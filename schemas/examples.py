"""One example of every message, as the sample pack's city would send and get it.

They stand in the AsyncAPI document and in its tests. Codes are those of the sample pack; texts that would be personal
are dots.
"""

from typing import Any

from msgspec import Raw, convert, json

from schemas import facts
from schemas.envelope import Envelope, Record
from schemas.events import EVENTS
from schemas.messages import Cell, DeadLetter, LineNames, PublishedAlert, Words
from schemas.refusals import Reason

HOME = "WY01"
SUBJECT = "WY01.0195539a-2b80-7c3d-9f21-5a6b7c8d9e0f"
MEMBER, CHIEF = "WY01-01-MEMBER", "WY01-CHIEF"
TIME = "2026-03-02T09:00:00+08:00"
AT = 1_772_413_200_000
"""`TIME` in milliseconds UTC."""
PACK = "7d051fc77be449cfed9f8dca056ed86e7717e68892965ce8c5c9cb15e4d3f135"
TOKEN = "5b0a1f6c9d3e48728a4c6f1e0d9b2a73"

DATA: dict[str, dict[str, Any]] = {trigger: event.example for trigger, event in EVENTS.items()}
"""The data of one event of every type, with every kind of member at least once."""
_BY_MEMBERS = (
    "report.submitted",
    "dissuasion.recorded",
    "incident.reported_up",
    "verification.recorded",
    "evidence.added",
    "comment.added",
)


def event(kind: str) -> dict[str, Any]:
    """A structured event. `kind` is its type without prefix and version."""
    return {
        "specversion": "1.0",
        "id": f"{kind}-1",
        "source": "app/3f9c",
        "type": f"gridpatrol.{kind}.v1",
        "subject": SUBJECT,
        "time": TIME,
        "actor": MEMBER if kind in _BY_MEMBERS else CHIEF,
        "data": DATA[kind],
    }


def record() -> Record:
    """A report as it stands in the inbox: its free text is sealed under a token."""
    sent = event("report.submitted")
    kept = {name: DATA["report.submitted"][name] for name in ("category", "source", "grid", "unit")}
    sealed = convert(sent | {"data": Raw(json.encode(kept))}, Envelope)
    return Record(event=sealed, digest="c4" * 32, token=TOKEN, digests=(f"2:{'5e' * 32}",))


def sent() -> dict[str, object]:
    """What a case says to one of another home, as it stands in the inbox."""
    cause = {"type": "gridpatrol.case.sent", "source": SUBJECT, "id": "4.1", "occurred": 1772439600000}
    word = {"to": f"WY02{SUBJECT[4:]}", "trigger": "case.survivor_ended", "data": {"state": "closed"}}
    return word | {"cause": cause, "instant": 1772439600000, "arrival": 1772439600000, "homes": 1}


STEP = facts.Step(
    partition=3,
    n=17,
    case=SUBJECT,
    seq=4,
    at=AT + 180_000,
    day=20260302,
    policy=PACK,
    definition="incident",
    path="/XA/WY/WY01/WY01-01/",
    category="D3-01",
    group="dust",
    department="",
    post=CHIEF,
    cause=facts.Cause("gridpatrol.incident.accepted.v1", "app/3f9c", "incident.accepted-1", CHIEF, AT + 180_000),
    facts=(
        facts.Moved(trigger="incident.accepted", was="reported", state="accepted", judged=AT + 180_000, by=CHIEF),
        facts.ClockStopped(
            clock="accept",
            level=3,
            cycle=0,
            target=0,
            judged=AT + 180_000,
            started=AT + 120_000,
            result="on_time",
            elapsed=60_000,
            consumed=60_000,
            due=AT + 3_720_000,
            why="incident.accepted",
        ),
        facts.ClockStarted(
            clock="handle",
            level=3,
            cycle=0,
            target=0,
            judged=AT + 180_000,
            calendar="office",
            limit="4工作时",
            due=AT + 21_780_000,
            basis="our proposal",
            rung="warn",
            next=AT + 18_180_000,
        ),
    ),
)
_ALERT = f"{SUBJECT}|handle.3|0|0|overdue|1"
LINE = PublishedAlert(
    id=f"{_ALERT}|firing",
    alert=_ALERT,
    what="firing",
    case=SUBJECT,
    kind="overdue",
    clock="handle",
    level=3,
    path="/XA/WY/WY01/WY01-01/",
    category="D3-01",
    recipients={post: f"{_ALERT}|firing|{post}" for post in (CHIEF, "WY-CHIEF", "WY01-SPONSOR")},
    due_at=AT + 194_580_000,
    raised_at=AT + 194_580_001,
    due=AT + 21_780_000,
    epoch="19c8f3a2b40",
    number=204,
    told_at=AT + 194_580_250,
    why="rung overdue",
    definition="incident",
    names=LineNames(
        path=["西安市", "未央区", "一街道", "一社区"],
        category=Words("建筑工地扬尘", "dust of a building site"),
        department="",
        recipients={CHIEF: "街道网格长", "WY-CHIEF": "区长", "WY01-SPONSOR": "街道包抓领导"},
        by="",
    ),
    sentence=Words(
        "网格事件「建筑工地扬尘」（一社区）：一街道处置超期，时限 2026-03-02 18:03。",
        'Incident "dust of a building site" (一社区): handle of 一街道 is overdue; deadline 2026-03-02 18:03.',
    ),
)
LETTER = DeadLetter(
    id="3.4711",
    at=AT,
    partition=3,
    position=4711,
    reason=Reason.FORBIDDEN,
    field="actor",
    detail="only a chief or sponsor of the owning grid may accept",
    source="app/3f9c",
    event_id="incident.accepted-1",
    type="gridpatrol.incident.accepted.v1",
    case=SUBJECT,
    principal="app",
)
CELL = Cell(
    measure="on_time",
    day=20260302,
    path="/XA/WY/WY01/WY01-01/",
    department="",
    category="D3-01",
    group="dust",
    post=CHIEF,
    definition="incident",
    value=12,
)
