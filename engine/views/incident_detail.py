"""One case in full: where it stands, what its clocks say, who may do what next, and all that ever happened to it.

In: an open read transaction and an id. Out: an `IncidentDetail`. Instants are RFC 3339 in the pack's zone.
"""

from typing import Any, get_args

import msgspec
from msgspec import Struct, inspect

from engine.http.problems import Problem
from engine.policies import Policies
from engine.store import exports, incident_queries
from engine.store.incident_queries import Connection
from engine.store.rows import StepRow
from engine.views.incident_list import Head, head
from engine.views.names import Named, Names, OwnerNamed, active_names
from schemas import facts as f
from workflows import case as cases
from workflows import sla
from workflows.case import Case, Clock, Waiting
from workflows.clocks.calendar import Calendar
from workflows.clocks.explain import amount_text
from workflows.clocks.limits import Kind, Limit, limit_text
from workflows.clocks.timescales import CalendarError
from workflows.definitions import DEFINITIONS
from workflows.policy.index import Policy


class Remaining(Struct, frozen=True):
    """What is left of a clock, negative once it is overdue: in the units of its own kind of time, in words, and in
    milliseconds on the wall. Without a wall part it is paused."""

    kind: Kind
    ms: int
    zh: str
    en: str
    wall_ms: int | None


class ClockSheet(Struct, frozen=True, kw_only=True):
    """A clock in full. `limit` is empty where an instant was ordered, or nothing limits it."""

    name: str
    level: int
    cycle: int
    target: int
    calendar: str
    limit_zh: str
    limit_en: str
    started_at: str
    due_at: str | None
    provisional: bool
    paused: bool
    paused_at: str | None
    overdue: bool
    remaining: Remaining | None
    next_rung: str
    next_at: str | None
    acknowledged: bool


class Said(Struct, frozen=True):
    """A row of the roles table: this role may say it, standing at one of these levels, in this scope."""

    role: str
    levels: tuple[int, ...]
    scope: str
    rule: str


class Allowed(Struct, frozen=True):
    """Something that may be said in the present state, and by whom."""

    trigger: str
    type: str
    by: list[Said]


class ParkedLine(Struct, frozen=True):
    """An early event that waits for its state."""

    source: str
    id: str
    type: str
    arrived_at: str
    until: str


class Cause(Struct, frozen=True):
    """What made a step: an event, or a clock."""

    type: str
    source: str
    id: str
    actor: str
    occurred_at: str | None
    traceparent: str


class StepLine(Struct, frozen=True):
    """A step of the history. The facts are as they stand in the log, their instants written out."""

    seq: int
    partition: int
    n: int
    at: str
    day: int
    cause: Cause
    facts: list[dict[str, Any]]


class IncidentDetail(Head, frozen=True, kw_only=True):
    """A case in full. `allowed` names what the state takes; the roles table says by whom, the rules if it is so."""

    reported_by: Named | None
    source: str
    reference: str
    unit: str
    touches: list[Named]
    lon: float | None
    lat: float | None
    policy: str
    partition: int | None
    seq: int
    clocks: list[ClockSheet]
    allowed: list[Allowed]
    assisting: list[Named]
    outstanding_checks: list[int]
    handled_by: Named | None
    trail: list[OwnerNamed]
    suspended_from: str
    suspended_until: str | None
    merged_into: str
    quarantined: bool
    parked: list[ParkedLine]
    history: list[StepLine]


def incident_detail(connection: Connection, policies: Policies, id_: str, now: int) -> IncidentDetail:
    """A case by its id. Raises Problem where there is none."""
    words = active_names(connection, policies)
    body = incident_queries.read_case(connection, id_)
    if body is None:
        remedy = "ask /v1/events/status for the event that reported it, or list cases at /v1/incidents"
        raise Problem(404, "unknown_case", f"no case {id_!r}", field="id", remedy=remedy)
    case = cases.decode(body)
    rules = policies.get(connection, case.policy) if case.policy else words.register
    steps = exports.steps_of(connection, id_)
    return IncidentDetail(
        **head(case, words, now),
        reported_by=words.post(case.by) if case.by else None,
        source=case.source,
        reference=case.reference,
        unit=case.unit,
        touches=words.path(case.touches),
        lon=case.lon,
        lat=case.lat,
        policy=case.policy,
        partition=steps[0].partition if steps else None,
        seq=case.seq,
        clocks=[sheet(clock, words, now) for clock in case.clocks],
        allowed=allowed(case, rules),
        assisting=[words.department(code) for code in case.assisting],
        outstanding_checks=list(case.checks),
        handled_by=words.post(case.handled_by) if case.handled_by else None,
        trail=_trail(case, words),
        suspended_from=case.suspended_from,
        suspended_until=words.maybe(case.suspended_until),
        merged_into=case.merged_into,
        quarantined=case.quarantined,
        parked=[_parked(waiting, words) for waiting in case.parked],
        history=[step_line(step, words) for step in steps],
    )


def _parked(waiting: Waiting, words: Names) -> ParkedLine:
    """An early event, without its record."""
    arrived, until = words.instant(waiting.arrival), words.instant(waiting.until)
    return ParkedLine(waiting.source, waiting.id, waiting.type, arrived, until)


def _trail(case: Case, words: Names) -> list[OwnerNamed]:
    """Who owned it before, in this cycle."""
    return [named for owner in case.trail if (named := words.owner(owner)) is not None]


# ---- clocks -------------------------------------------------------------------------------------------------


def sheet(clock: Clock, words: Names, now: int) -> ClockSheet:
    """A clock in full."""
    limit, paused = sla.limit_of(clock), clock.since is None
    return ClockSheet(
        name=clock.name,
        level=clock.level,
        cycle=clock.cycle,
        target=clock.target,
        calendar=clock.calendar,
        limit_zh=limit_text(limit) if limit else "",
        limit_en=limit_text(limit, "en") if limit else "",
        started_at=words.instant(clock.started),
        due_at=words.maybe(clock.due),
        provisional=clock.provisional,
        paused=paused,
        paused_at=words.instant(clock.judged) if paused else None,
        overdue=not paused and clock.due is not None and clock.due < now,
        remaining=_remaining(clock, limit, words.register.calendars.get(clock.calendar), now),
        next_rung=clock.rung if clock.next is not None else "",
        next_at=words.maybe(clock.next),
        acknowledged=clock.acknowledged,
    )


def _remaining(clock: Clock, limit: Limit | None, calendar: Calendar | None, now: int) -> Remaining | None:
    """What is left, by the clock's own kind of time. None without a deadline, or where no calendar can tell."""
    if clock.due is None or calendar is None:
        return None
    kind = limit.kind if limit else Kind.urgent_hour
    try:
        ms = _left(clock, limit, calendar, now)
    except CalendarError:
        return None
    wall = None if clock.since is None else clock.due - now
    zh, en = (amount_text(calendar, kind, abs(ms), lang) for lang in ("zh", "en"))
    late = ms < 0 or (wall is not None and wall < 0)
    return Remaining(kind, ms, f"超期{zh}" if late else f"剩余{zh}", f"{en} overdue" if late else f"{en} left", wall)


def _left(clock: Clock, limit: Limit | None, calendar: Calendar, now: int) -> int:
    """Running, what lies between now and the deadline; paused, what the ledger has left of the limit."""
    due = clock.due or 0
    if clock.since is not None:
        return calendar.remaining(now, due, limit.kind if limit else Kind.urgent_hour)
    if limit is None:
        return due - clock.judged
    left = calendar.budget(limit)
    for begin, end in clock.runs:
        left = calendar.left_at(end, begin, left, limit.kind)
    return left


# ---- who may do what ----------------------------------------------------------------------------------------


def allowed(case: Case, rules: Policy) -> list[Allowed]:
    """What the present state takes, with the roles that may say it."""
    definition = DEFINITIONS.get(case.definition)
    names = definition.triggers(case.state) if definition else ["report.submitted"]
    # A check by a level above the deciding one is a trigger of its own, but nobody sends it under that name.
    said = sorted({name.replace("verification.checked", "verification.recorded") for name in names})
    return [Allowed(name, f"gridpatrol.{name}.v1", _roles(name, rules)) for name in said]


def _roles(trigger: str, rules: Policy) -> list[Said]:
    return [Said(m.role, m.levels, m.scope, m.rule) for m in rules.pack.roles if m.trigger == trigger]


# ---- the history --------------------------------------------------------------------------------------------


def _instants(kind: type[f.Fact]) -> frozenset[str]:
    """The members of a fact that are instants."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return frozenset(field.encode_name for field in described.fields if _is_instant(field.type))


def _is_instant(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.UnionType):
        return any(map(_is_instant, kind.types))
    schema = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return bool(schema) and "milliseconds since" in str((schema or {}).get("description", ""))


_INSTANTS = {str(kind.__struct_config__.tag): _instants(kind) for kind in get_args(f.AnyFact)}
"""By a fact's name, which of its members are instants."""


def step_line(step: StepRow, words: Names) -> StepLine:
    """A step with its instants written out."""
    cause = f.decode_cause(step.cause)
    facts: list[dict[str, Any]] = msgspec.json.decode(step.body)
    told = Cause(cause.type, cause.source, cause.id, cause.actor, words.maybe(cause.occurred), cause.traceparent)
    return StepLine(
        step.seq,
        step.partition,
        step.n,
        words.instant(step.at),
        step.day,
        told,
        [_written_out(fact, words) for fact in facts],
    )


def _written_out(fact: dict[str, Any], words: Names) -> dict[str, Any]:
    """A fact for people. The record inside a parked event is left to the log."""
    instants = _INSTANTS.get(fact["fact"], frozenset())
    return {
        name: words.instant(value) if name in instants and value is not None else value
        for name, value in fact.items()
        if not (fact["fact"] == "incident.parked" and name == "event")
    }
