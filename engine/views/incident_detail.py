"""One case in full: where it stands, what its clocks say, who may do what next, and all that ever happened to it."""

from typing import Any, get_args

import msgspec
from msgspec import Struct, inspect

from engine.policies import Policies
from engine.store import archives, exports, incident_queries
from engine.store.database import Connection
from engine.store.rows import StepRow
from engine.views import past
from engine.views.case_files import CaseFile, files_of_case
from engine.views.holders import (
    ClockOutcome,
    HeldSpan,
    Judged,
    consumed,
    held_spans,
    history_of,
    kind_of,
    late_by,
    outcomes_of,
    unit_named,
)
from engine.views.incident_list import ArchivedCase, IncidentHead, archived_case, head_members
from engine.views.names import HolderNamed, Named, Names, OwnerNamed, active_names
from engine.views.present import Present, Reading, reading_of
from engine.views.questions import BadQuestion, Unanswerable
from schemas import facts
from schemas.coordinates import UNITS
from workflows import case as cases
from workflows import exemptions, sla
from workflows.case import Case, Clock, Missed, Proposal
from workflows.clocks.explain import amount_text, rough
from workflows.clocks.limits import Kind, limit_text
from workflows.clocks.timescales import CalendarError
from workflows.definitions import DEFINITIONS
from workflows.parking import waits_for
from workflows.policy.index import Policy
from workflows.reading import READS_EVERYTHING, Readable


class Remaining(Struct, frozen=True):
    """What is left of a clock, negative once it is overdue: in milliseconds of its own kind of time, in words, and in
    milliseconds on the wall clock, which is None while the clock is paused."""

    kind: Kind
    ms: int
    zh: str
    en: str
    wall_ms: int | None


class ClockDetail(Struct, frozen=True, kw_only=True):
    """A clock in full. The limit is empty where an instant was ordered, or the clock has no limit. What it has consumed
    and by how much it is late are milliseconds of its own `kind` of time; None where the calendar cannot tell, and
    `late_by_ms` where it has no deadline."""

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
    acknowledged_by: list[Named]
    kind: Kind
    consumed_ms: int | None
    late_by_ms: int | None


class AllowedRole(Struct, frozen=True):
    """A row of the roles table: who has this role may send it, standing at one of these levels, in this scope."""

    role: str
    levels: tuple[int, ...]
    scope: str
    rule: str


class AllowedTrigger(Struct, frozen=True):
    """A trigger that the present state takes, the type of the event that sends it, and who may."""

    trigger: str
    type: str
    by: list[AllowedRole]


class ParkedEvent(Struct, frozen=True):
    """An early event that waits for its state: for an event of one of the types of `waits_for`, until an instant."""

    source: str
    id: str
    type: str
    arrived_at: str
    until: str
    waits_for: tuple[str, ...]


class ProposalDetail(Struct, frozen=True):
    """What is asked for and not decided: an extension of a clock (`due_at`, or a limit), or a suspension (`until`)."""

    what: str
    by: Named
    reason: str
    asked_at: str
    clock: str
    level: int
    due_at: str | None
    limit: str
    until: str | None


class ExemptionDetail(Struct, frozen=True):
    """What was asked for and decided of a missed deadline: requested, granted, refused, appealed, or dismissed on
    appeal. A refusal may be appealed until `appeal_until`. `by`: the post that asked, or appealed."""

    stage: str
    ground: str
    by: Named
    appeal_until: str | None


class MissedDetail(Struct, frozen=True, kw_only=True):
    """A deadline that was missed, and the unit that is charged with it, which may ask for an exemption by these four
    names. What the case shows of 容错 as it stands: `found` by the unit itself, `prompt`ly handled, and `reported`;
    None where cases of this kind are exempted from nothing."""

    clock: str
    part: int
    cycle: int
    target: int
    due_at: str | None
    charged: HolderNamed
    found: bool | None
    prompt: bool | None
    reported: bool | None
    exemption: ExemptionDetail | None


class Cause(Struct, frozen=True):
    """The event or the clock that made a step."""

    type: str
    source: str
    id: str
    actor: str
    occurred_at: str | None
    traceparent: str


class HistoryStep(Struct, frozen=True):
    """A step of the history. The facts are as they stand in the log, their instants written out."""

    seq: int
    partition: int
    n: int
    at: str
    day: int
    cause: Cause
    facts: list[dict[str, Any]]


class IncidentDetail(IncidentHead, frozen=True, kw_only=True):
    """A case in full. `allowed` is what the state and the roles table permit; the rules may refuse it all the same."""

    reported_by: Named | None
    source: str
    unit: str
    site: Named | None
    touches: list[Named]
    lon: float | None  # WGS 84, also where it was measured on another map
    lat: float | None
    policy: str
    partition: int | None
    seq: int
    clocks: list[ClockDetail]
    outcomes: list[ClockOutcome]  # the clocks that have stopped
    holders: list[HeldSpan]  # who held it, when, and what its clocks consumed meanwhile
    allowed: list[AllowedTrigger]
    assisting: list[Named]
    outstanding_checks: list[int]
    handled_by: Named | None
    trail: list[OwnerNamed]
    suspended_from: str
    suspended_until: str | None
    proposals: list[ProposalDetail]
    missed: list[MissedDetail]  # deadlines, also of clocks that have stopped
    campaign: Named | None  # of which it counts as a part
    root_cause: str  # polluter, supervision or service, as its closing has it; empty: it has none
    merged_into: str
    absorbed: list[str]  # cases that were merged into this one, also by way of others, while it goes on for them
    quarantined: bool
    about: str  # another case that this one speaks of; empty: none
    own: dict[str, Any] | None  # what only cases of its kind keep
    parked: list[ParkedEvent]
    history: list[HistoryStep]
    files: list[CaseFile]  # to which its evidence refers, as they are now
    names: dict[str, str]  # of the posts, departments and grids in the history, by their codes
    as_of: str
    reading: Reading


class UnknownCase(Unanswerable):
    """No case has this id, or what begins it has not been decided yet."""

    def __init__(self) -> None:
        remedy = "ask /v1/events/status for the event that reported it, or list cases at /v1/incidents"
        super().__init__("id", "there is no case of this id", remedy)


class CaseArchived(Unanswerable):
    """The case ended long ago and lies in a file."""

    def __init__(self, case: ArchivedCase) -> None:
        what = f"this case ({case.definition}, {case.state_zh} {case.state}) ended {case.ended_at}"
        remedy = "ask who runs the system to look there"
        super().__init__("id", f"{what} and has been archived: it lies in {case.archive}", remedy)
        self.case = case


def incident_detail(
    connection: Connection,
    policies: Policies,
    id_: str,
    now: int,
    at: str = "",
    readable: Readable = READS_EVERYTHING,
) -> IncidentDetail:
    """A case by its id; with `at` (RFC 3339) as it was known then. Raises Unanswerable: also for one that is not
    read."""
    names = active_names(connection, policies)
    here = reading_of(connection, names, now, at)
    now, case, steps = here.at, read_case(connection, names, id_, readable), exports.steps_of(connection, id_)
    if at:
        begun = steps[0].at if steps else now
        steps = [step for step in steps if step.at <= now]
        case = next(past.cases_at(connection, [id_], now), Case(id=id_))
        if not case.definition:
            remedy = f"ask for an instant after {names.instant(begun)}"
            raise BadQuestion("at", "no report of this case had arrived by then", remedy)
    rules = policies.get(connection, case.policy) if case.policy else names.register
    return shown_case(case, steps, names, rules, here, files_of_case(connection, id_, steps))


def read_case(connection: Connection, names: Names, id_: str, readable: Readable) -> Case:
    """A case that is read. Raises CaseArchived, and UnknownCase also for one that is not read."""
    body = incident_queries.read_case(connection, id_)
    if body is not None:
        case = cases.decode(body)
        if readable.reads_case(case):
            return case
        raise UnknownCase()
    stub = archives.find_stub(connection, id_)
    if stub is None or not readable.of(stub.definition).within(stub.path):
        raise UnknownCase()
    raise CaseArchived(archived_case(stub, names))


def shown_case(
    case: Case, steps: list[StepRow], names: Names, rules: Policy, here: Present, files: list[CaseFile]
) -> IncidentDetail:
    """A case with all that is shown of it, as of an instant."""
    now, told = here.at, history_of(((step.seq, step.body) for step in steps), case, here.at)
    history, codes = [history_step(step, names) for step in steps], dict[str, str]()
    for each in history:
        name_all([each.cause.actor, each.facts], names.register, codes)
    return IncidentDetail(
        **head_members(case, names, now),
        reported_by=names.post(case.by) if case.by else None,
        source=case.source,
        unit=case.unit,
        site=names.site(case.site) if case.site else None,
        touches=names.path(case.touches),
        lon=case.lon if case.spot is None else case.spot[0] / UNITS,
        lat=case.lat if case.spot is None else case.spot[1] / UNITS,
        policy=case.policy,
        partition=steps[0].partition if steps else None,
        seq=case.seq,
        clocks=[clock_detail(judged, case, names, now) for judged in told.clocks if judged.outcome is None],
        outcomes=list(outcomes_of(told.clocks, names, now)),
        holders=held_spans(told, names, now),
        allowed=allowed(case, rules),
        assisting=[names.department(code) for code in case.assisting],
        outstanding_checks=list(case.checks),
        handled_by=names.post(case.handled_by) if case.handled_by else None,
        trail=[named for owner in case.trail if (named := names.owner(owner)) is not None],
        suspended_from=case.suspended_from,
        suspended_until=names.maybe(case.suspended_until),
        proposals=[proposal_detail(proposal, names) for proposal in case.proposals],
        missed=[missed_detail(missed, case, names, now) for missed in case.lapses],
        campaign=names.campaign(case.campaign) if case.campaign else None,
        root_cause=case.root_cause,
        merged_into=case.merged_into,
        absorbed=list(case.absorbed),
        quarantined=case.quarantined,
        about=case.about,
        own=None if case.own is None else msgspec.to_builtins(case.own),
        parked=[
            ParkedEvent(
                early.source,
                early.id,
                early.type,
                names.instant(early.arrival),
                names.instant(early.until),
                waits_for(case, early.type, names.register),
            )
            for early in case.parked
        ],
        history=history,
        files=files,
        as_of=names.instant(now),
        reading=here.kind,
        names=codes,
    )


def proposal_detail(proposal: Proposal, names: Names) -> ProposalDetail:
    """A proposal of a case, its instants written out."""
    return ProposalDetail(
        proposal.what,
        names.post(proposal.by),
        proposal.reason,
        names.instant(proposal.at),
        proposal.clock,
        proposal.level,
        names.maybe(proposal.due),
        proposal.limit,
        names.maybe(proposal.until),
    )


def missed_detail(missed: Missed, case: Case, names: Names, now: int) -> MissedDetail:
    """A missed deadline of a case, with what the case shows of 容错."""
    tolerance, asked = DEFINITIONS[case.definition].tolerance, missed.exemption
    found = None if tolerance is None else exemptions.shown(case, missed, tolerance, names.register, now)
    return MissedDetail(
        clock=missed.clock,
        part=missed.level,
        cycle=missed.cycle,
        target=missed.target,
        due_at=names.maybe(missed.due),
        charged=unit_named(missed.unit, names),
        found=found and found.found,
        prompt=found and found.prompt,
        reported=found and found.reported,
        exemption=None
        if asked is None
        else ExemptionDetail(asked.stage, asked.ground, names.post(asked.by), names.maybe(asked.until)),
    )


# ---- clocks -------------------------------------------------------------------------------------------------


def clock_detail(judged: Judged, case: Case, names: Names, now: int) -> ClockDetail:
    """A clock of a case in full."""
    clock = judged.clock
    rungs = [rung for rung in case.alerted if (rung.clock, rung.level) == (clock.name, clock.level)]
    seen = sorted({each.post for rung in rungs for each in rung.seen})
    limit, paused = sla.limit_of(clock), clock.since is None
    return ClockDetail(
        name=clock.name,
        level=clock.level,
        cycle=clock.cycle,
        target=clock.target,
        calendar=clock.calendar,
        limit_zh=limit_text(limit) if limit else "",
        limit_en=limit_text(limit, "en") if limit else "",
        started_at=names.instant(clock.started),
        due_at=names.maybe(clock.due),
        provisional=clock.provisional,
        paused=paused,
        paused_at=names.instant(clock.judged) if paused else None,
        overdue=not paused and clock.due is not None and clock.due < now,
        remaining=remaining_of(clock, names, now),
        next_rung=clock.rung if clock.next is not None else "",
        next_at=names.maybe(clock.next),
        acknowledged=clock.acknowledged,
        acknowledged_by=[names.post(post) for post in seen],
        kind=kind_of(clock),
        consumed_ms=consumed(judged, names, now),
        late_by_ms=late_by(judged, names, now),
    )


def remaining_of(clock: Clock, names: Names, now: int) -> Remaining | None:
    """What is left, by the clock's own kind of time. None without a deadline, or where the calendar cannot tell."""
    known, limit = names.register.calendars.get(clock.calendar), sla.limit_of(clock)
    if clock.due is None or known is None:
        return None
    calendar = known.known_at(clock.judged)
    kind = limit.kind if limit else Kind.urgent_hour
    try:
        if clock.since is not None:
            ms = calendar.remaining(now, clock.due, kind)
        elif limit is None:
            ms = clock.due - clock.judged
        else:  # paused: what the stretches that it has run leave of the limit
            ms = calendar.budget_from(clock.runs[0][0] if clock.runs else clock.started, limit)
            for begin, end in clock.runs:
                ms = calendar.left_at(end, begin, ms, kind)
    except CalendarError:
        return None
    wall = None if clock.since is None else clock.due - now
    zh, en = (amount_text(calendar, kind, rough(kind, abs(ms)), lang) for lang in ("zh", "en"))
    late = ms < 0 or (wall is not None and wall < 0)
    return Remaining(kind, ms, f"超期{zh}" if late else f"剩余{zh}", f"{en} overdue" if late else f"{en} left", wall)


# ---- who may do what ----------------------------------------------------------------------------------------


def allowed(case: Case, rules: Policy) -> list[AllowedTrigger]:
    """The triggers that the present state takes, with the roles that may send them."""
    definition = DEFINITIONS.get(case.definition)
    if definition is None:  # what begins a case of a problem, of whatever kind
        kinds = [each for each in DEFINITIONS.values() if each.listed == "always"]
        triggers = sorted({birth for each in kinds for birth in each.births.keys() - each.sends})
    else:
        triggers = sorted({definition.event_of(name) for name in definition.triggers(case.state)})
    found = list[AllowedTrigger]()
    for name in triggers:
        by = [
            AllowedRole(row.role, row.levels, row.scope, row.rule)
            for row in rules.role_rows_by_trigger.get(name, ())
            if not (row.categories and case.category) or case.category in row.categories
            if not case.definition or row.definition in ("", case.definition)
        ]
        found.append(AllowedTrigger(name, f"gridpatrol.{name}.v1", by))
    return found


# ---- the history --------------------------------------------------------------------------------------------


def _is_instant(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.UnionType):
        return any(map(_is_instant, kind.types))
    schema = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return bool(schema) and "milliseconds since" in str((schema or {}).get("description", ""))


_INSTANTS = {
    fact.tag: {field.encode_name for field in fact.fields if _is_instant(field.type)}
    for fact in inspect.multi_type_info(get_args(facts.AnyFact))
    if isinstance(fact, inspect.StructType)
}
"""By a fact's name, which of its members are instants."""


def name_all(value: object, register: Policy, found: dict[str, str]) -> None:
    """Note the names of all posts, departments and grids whose codes stand anywhere in a value, in a path too."""
    if isinstance(value, str):
        for code in value.split("/"):
            if code in register.posts:
                found[code] = register.posts[code].title
            elif code in register.departments or code in register.grids:
                found[code] = (register.departments.get(code) or register.grids[code]).name
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            name_all(each, register, found)


def history_step(step: StepRow, names: Names) -> HistoryStep:
    """A step with its instants written out. The record inside a parked event is left to the log."""
    cause = facts.decode_cause(step.cause)
    members: list[dict[str, Any]] = msgspec.json.decode(step.body)
    for fact in members:
        if fact["fact"] == "incident.parked":
            fact.pop("event", None)
        for name in _INSTANTS.get(fact["fact"], set()) & fact.keys():
            fact[name] = names.maybe(fact[name])
    return HistoryStep(
        seq=step.seq,
        partition=step.partition,
        n=step.n,
        at=names.instant(step.at),
        day=step.day,
        cause=Cause(cause.type, cause.source, cause.id, cause.actor, names.maybe(cause.occurred), cause.traceparent),
        facts=members,
    )
