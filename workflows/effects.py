"""What a trigger does besides moving the case: owners, copies, checks, cycles, orders. Birth is in `birth.py`.

Each effect tells facts into the decision, or answers with a refusal; then the decision is dropped with its facts. The
definitions say which trigger has which effect.
"""

from collections.abc import Callable, Iterable
from typing import Any

from schemas import events, facts
from schemas.coordinates import SHIFTED
from schemas.envelope import to_ms
from schemas.kinds import incident
from schemas.members import Evidence
from schemas.refusals import Reason, Refusal
from workflows import holding, routing, sla
from workflows.case import TOTAL, AlertedRung, Clock, Owner
from workflows.clocks.limits import Limit, LimitError, parse_limit
from workflows.decision import Decision
from workflows.machine import Speaker

# ---- the main line ----------------------------------------------------------------------------------------


def dissuade(d: Decision, data: incident.DissuasionRecorded, speaker: Speaker) -> Refusal | None:
    """Effective dissuasion counts as handling on the spot; the leaf's own check decides (M14, M15)."""
    d.tell(facts.Dissuaded(outcome=data.outcome, level=speaker.level))
    if data.outcome == "effective":
        d.tell(facts.Handled(level=len(d.case.path), by=d.by, checks=(len(d.case.path),)))
    return None


def report_up(d: Decision, data: incident.ReportedUp, speaker: Speaker) -> Refusal | None:
    """Report to the upper grid with authority, or to the grid or department that was named (M15-M17)."""
    owner = routing.upward(d.case, d.rules, d.register)
    if data.to_grid is not None:
        to_grid = d.register.standing(data.to_grid, d.arrival)
        if to_grid not in d.case.path[:-1]:
            return Refusal(
                Reason.INVALID,
                "data.to_grid",
                f"must be a grid above the place: {', '.join(d.case.path[:-1])}",
            )
        owner = Owner(to_grid, d.case.path.index(to_grid) + 1)
    if data.to_department is not None:
        refused = check_department(d, data.to_department, "data.to_department")
        if refused:
            return refused
        grid = d.register.standing(d.register.departments[data.to_department].grid, d.arrival)
        owner = Owner(grid, d.register.grids[grid].level, data.to_department)
    assign(d, owner, "reported", speaker.grid)
    return None


def dispatch(d: Decision, data: incident.Dispatched, speaker: Speaker) -> Refusal | None:
    """One department leads, others assist, and so does the grid of the place (M18).

    A leaf finds and checks, it does not handle: a case that was returned to it goes to the level with authority.
    """
    for code, field in [(data.lead, "data.lead"), *((c, "data.assisting") for c in data.assisting)]:
        refused = check_department(d, code, field)
        if refused:
            return refused
    given = given_against_table(d, data.lead, data.reason, "data.lead", speaker)
    if isinstance(given, Refusal):
        return given
    owner = d.case.owner
    if owner.level == d.register.leaf_level:
        owner = routing.upward(d.case, d.rules, d.register)
    d.tell(facts.Assigned(grid=owner.grid, level=owner.level, department=data.lead, why="dispatched"))
    if given is not None:
        d.tell(given)
    d.tell(facts.Assisting(units=tuple(dict.fromkeys((*data.assisting, d.case.path[-1])))))
    return None


def arrive(d: Decision, data: incident.DepartmentArrived, speaker: Speaker) -> Refusal | None:
    """A department is on site; the grid of the place assists from here (配合处理, M18)."""
    if data.department not in d.register.departments:
        return unknown_code("data.department", "department")
    d.tell(facts.Arrived(department=data.department))
    units = dict.fromkeys((*d.case.assisting, d.case.path[-1]))
    if data.department != d.case.owner.department:
        units[data.department] = None
    if tuple(units) != d.case.assisting:
        d.tell(facts.Assisting(units=tuple(units)))
    return None


def handle(d: Decision, data: incident.HandlingCompleted, speaker: Speaker) -> Refusal | None:
    """Handled; the levels below are to check on site (M33, M34)."""
    owner = d.case.owner
    d.tell(facts.Handled(level=owner.level, by=d.by, checks=speaker.checks, department=owner.department))
    tell_evidence(d, data.evidence)
    return None


def may_check(d: Decision, speaker: Speaker) -> Refusal | None:
    """Who checks on site: another one than handled it, of a level that owes a check, and no head of an enterprise."""
    options, post = d.rules.options, d.register.posts[speaker.post]
    if options.verifier_differs and speaker.post == d.case.handled_by:
        return Refusal(Reason.FORBIDDEN, "actor", "who handled it does not verify it: another post has to check")
    grid = d.register.grids.get(speaker.grid)
    if post.role == "chief" and grid is not None and grid.kind in options.barred_verifiers:
        barred = "the head of an enterprise does not verify in its own grid: the member checks"
        return Refusal(Reason.FORBIDDEN, "actor", barred)
    if speaker.level < len(d.case.path) and speaker.level not in d.case.checks:
        owing = ", ".join(map(str, d.case.checks))
        return Refusal(Reason.IMPOSSIBLE, "actor", f"level {speaker.level} owes no check; owing: {owing or 'nobody'}")
    return None


def check(d: Decision, data: incident.VerificationRecorded, speaker: Speaker) -> Refusal | None:
    """A check on site. The last level's decides, and `unsolved` starts a new cycle (M35)."""
    decides = speaker.level >= len(d.case.path)
    d.tell(facts.Checked(level=speaker.level, outcome=data.outcome, by=d.by, decides=decides))
    tell_evidence(d, data.evidence)
    if decides and data.outcome == "unsolved":
        _rework(d)
    return None


def _rework(d: Decision) -> None:
    """Begin a new cycle at the rework level, whichever level handled it, with a loop alarm from the pack's count on."""
    cycle, options = d.case.cycle + 1, d.rules.options
    looped = cycle >= options.loop_alarm
    for clock in d.case.clocks:
        if clock.name != TOTAL:
            sla.stop(d, clock)
    d.tell(facts.Reworked(cycle=cycle, looped=looped))
    grid = routing.ancestor(d.case.path, options.rework_level)
    d.tell(facts.Assigned(grid=grid, level=min(options.rework_level, len(d.case.path)), why="rework"))
    if looped:
        alarm_loop(d)


def alarm_loop(d: Decision) -> None:
    """Alert those above that a case comes back again and again; where the pack has notices, it is one of them."""
    if not d.rules.pack.notices:
        words, unit = ("upper_chief", "supervisor", "sponsor"), holding.present(d.case, d.register)
        posts = routing.recipients(words, d.case, d.register, d.arrival, unit)
        if posts:
            alert = f"{d.case.id}|loop|{d.case.cycle}"
            now = d.judged(d.case.judged)
            quiet = sla.not_before(d, "loop", now)
            other = holding.unless_owner(d, unit)
            d.tell(facts.AlertRaised(alert=alert, kind="loop", to=posts, due_at=now, not_before=quiet, unit=other))


def close(d: Decision, data: incident.Closed, speaker: Speaker) -> Refusal | None:
    """What lay at the root of what is closed (M99), which the pack may ask for."""
    if data.root_cause is not None:
        d.tell(facts.RootCauseFound(root_cause=data.root_cause, by=d.by))
    elif d.rules.options.root_cause == "required":
        detail = "the pack asks what lay at the root of each case that is closed: polluter, supervision or service"
        return Refusal(Reason.INVALID, "data.root_cause", detail)
    return None


# ---- side lines -------------------------------------------------------------------------------------------


def may_escalate(d: Decision, speaker: Speaker) -> Refusal | None:
    """The owner has a level above it."""
    if d.case.owner.level > 1:
        return None
    return Refusal(Reason.IMPOSSIBLE, "type", "the case is at the top level already")


def escalate(d: Decision, data: incident.Escalated, speaker: Speaker) -> Refusal | None:
    """Ownership moves up and copies go out (M25, M26, M30-M32)."""
    to = routing.next_above(d.case, data.reason, d.rules, d.register)
    if to is None:
        return may_escalate(d, speaker)
    if data.to_grid is not None:
        above = d.case.path[: d.case.owner.level - 1]
        if (to_grid := d.register.standing(data.to_grid, d.arrival)) not in above:
            return Refusal(Reason.INVALID, "data.to_grid", f"must be a grid above the owner: {', '.join(above)}")
        to = Owner(to_grid, above.index(to_grid) + 1)
    raise_to(d, to, data.reason, speaker.grid)
    return None


def raise_to(d: Decision, to: Owner, reason: str, sender: str) -> None:
    """Tell the facts of an escalation from the grid `sender`."""
    was = d.case.owner
    d.tell(facts.Escalated(reason=reason, was_level=was.level, level=to.level))
    assign(d, to, "escalated", sender)


def send_back(d: Decision, data: incident.Returned, speaker: Speaker) -> Refusal | None:
    """Return the case to the owner before; from the first owner it goes back to the grid that reported it."""
    trail = d.case.trail
    back = trail[-1] if trail else Owner(d.case.path[-1], len(d.case.path))
    d.tell(facts.Returned(reason=data.reason))
    grid = d.register.standing(back.grid, d.arrival)
    d.tell(facts.Assigned(grid=grid, level=back.level, department=back.department, why="returned"))
    return None


def reassign(d: Decision, data: incident.Reassigned, speaker: Speaker) -> Refusal | None:
    """Assign another owner by order (M55)."""
    if (data.to_grid is None) == (data.to_department is None):
        return Refusal(Reason.INVALID, "data", "name either to_grid or to_department")
    told: facts.GivenAgainstTable | None = None
    if data.to_department is not None:
        refused = check_department(d, data.to_department, "data.to_department")
        if refused:
            return refused
        given = given_against_table(d, data.to_department, data.reason, "data.to_department", speaker)
        if isinstance(given, Refusal):
            return given
        told = given
        grid = d.register.departments[data.to_department].grid
    else:
        grid = data.to_grid or ""
        if grid not in d.register.grids:
            return unknown_code("data.to_grid", "grid")
    grid = d.register.standing(grid, d.arrival)
    assign(d, Owner(grid, d.register.grids[grid].level, data.to_department or ""), "reassigned")
    if told is not None:
        d.tell(told)
    return None


def suspend(d: Decision, data: incident.Suspended, speaker: Speaker) -> Refusal | None:
    """Put the case aside until an instant, or until it is resumed."""
    until = to_ms(data.until) if data.until else None
    if until is not None and until <= d.arrival:
        return Refusal(Reason.INVALID, "data.until", "must lie in the future")
    d.tell(facts.Suspended(reason=data.reason, was=d.case.state, until=until))
    return None


def take_up(d: Decision, data: incident.Resumed, speaker: Speaker) -> Refusal | None:
    """Take the case up again. The guards have read already from which state it was suspended."""
    d.tell(facts.Resumed())
    return None


def order_deadline(d: Decision, data: events.DeadlineOrdered, speaker: Speaker) -> Refusal | None:
    """Give a running clock a new deadline (延期)."""
    limit = parse_ordered(data.limit, "data.limit")
    if isinstance(limit, Refusal):
        return limit
    if (limit is None) == (data.due is None):
        return Refusal(Reason.INVALID, "data", "give either due or limit")
    clock = running(d, data.clock)
    if isinstance(clock, Refusal):
        return clock
    due = to_ms(data.due) if data.due else None
    refused = refuse_past(d, due, d.judged(clock.judged))
    if refused:
        return refused
    sla.retarget(d, clock, due=due, limit=limit, why="ordered")
    return None


def running(d: Decision, name: str, level: int | None = None) -> Clock | Refusal:
    """The clock of a name that runs or is paused."""
    clock = d.case.clock(name, level)
    if clock is not None:
        return clock
    names = ", ".join(c.name for c in d.case.clocks)
    return Refusal(Reason.INVALID, "data.clock", f"no clock of this name runs; running: {names}")


def refuse_past(d: Decision, due: int | None, judged: int) -> Refusal | None:
    """Why nobody can order a deadline: it does not lie after the judged instant of the order. An order that was given
    in time may arrive after it, where its sender's instants are believed."""
    if due is None or due > judged or d.older:
        return None
    return Refusal(Reason.INVALID, "data.due", "must lie after the order: nothing is ordered to have been done by then")


def parse_ordered(text: str | None, field: str) -> Limit | Refusal | None:
    """The limit that an order names; None if it names none."""
    if text is None:
        return None
    try:
        return parse_limit(text)
    except LimitError as error:
        return Refusal(Reason.INVALID, field, error.rule)


def note(what: str) -> Callable[[Decision, Any, Speaker], None]:
    """An effect that records only who said it, the reason, and the token of the sealed text."""

    def effect(d: Decision, data: Any, speaker: Speaker) -> None:
        d.tell(facts.Noted(what=what, by=d.by, reason=getattr(data, "reason", ""), token=d.token))

    return effect


def add_evidence(d: Decision, data: events.EvidenceAdded, speaker: Speaker) -> Refusal | None:
    """Add evidence."""
    tell_evidence(d, data.evidence)
    return None


def may_acknowledge(d: Decision, speaker: Speaker) -> Refusal | None:
    """Some alert of the case is open, and the post was told of one that it has not acknowledged."""
    return unseen_by(d, speaker, None)[1]


def unseen_by(d: Decision, speaker: Speaker, clock: str | None) -> tuple[list[AlertedRung], Refusal | None]:
    """The rungs of a clock, or of all, that have told a post and that it has not acknowledged; or why there is none."""
    post, instant = d.register.posts[speaker.post], d.judged(0)
    open_ = [rung for rung in d.case.alerted if clock in (None, rung.clock)]
    mine = [rung for rung in open_ if post.code in rung.posts and rung.since <= instant]
    unseen = [rung for rung in mine if not rung.quiet_for(post.code, post.valid_from)]
    if not open_:
        return [], Refusal(Reason.IMPOSSIBLE, "data.clock", "no alert of this case is open")
    if not mine:
        others = "the open alerts were told to other posts, and each acknowledges for itself alone"
        return [], Refusal(Reason.IMPOSSIBLE, "actor", others)
    if not unseen:
        seen = "this post has acknowledged whatever it was told already"
        return [], Refusal(Reason.IMPOSSIBLE, "data.clock", seen)
    return unseen, None


def acknowledge(d: Decision, data: events.Acknowledged, speaker: Speaker) -> Refusal | None:
    """Record that a post has seen what the rungs of a clock, or of all clocks, told it: they tell it no more.

    It speaks for itself alone, of what it had been told by the instant that it names. Whoever has the post later is
    told again: another person in it has another `valid_from` in the pack.
    """
    post = d.register.posts[speaker.post]
    unseen, refused = unseen_by(d, speaker, data.clock)
    if refused:
        return refused
    for rung in unseen:
        clock = d.case.clock(rung.clock, rung.level)
        d.tell(
            facts.Acknowledged(
                by=post.code,
                clock=rung.clock,
                level=rung.level,
                cycle=clock.cycle if clock is not None else d.case.cycle,
                target=rung.target,
                rung=rung.rung,
                valid_from=post.valid_from,
            )
        )
    return None


def urge(d: Decision, data: events.Urged, speaker: Speaker) -> Refusal | None:
    """Urge who must act: a notice, or an alert that belongs to no clock where the pack has no table of notices."""
    d.tell(facts.Urged(by=d.by))
    if d.rules.pack.notices:
        return None
    unit = holding.present(d.case, d.register)
    posts = routing.recipients(("holder", "holder_chief"), d.case, d.register, d.arrival, unit)
    if posts:
        alert = f"{d.case.id}|urge|{d.case.seq + 1}"
        now, other = d.judged(d.case.judged), holding.unless_owner(d, unit)
        d.tell(facts.AlertRaised(alert=alert, kind="urge", to=posts, due_at=now, unit=other))
    return None


# ---- what several effects share ----------------------------------------------------------------------------


def unknown_code(field: str, what: str) -> Refusal:
    """The refusal of a code that the pack does not know. The code is not quoted: it may be anything, also a name."""
    return Refusal(Reason.UNKNOWN_CODE, field, f"this is no {what} of the active pack: send the code of one")


def check_department(d: Decision, department: str | None, field: str) -> Refusal | None:
    """Refuse an unknown department, and one that the place does not lie below: it could not handle the case. One of a
    grid that has ended serves the successor."""
    if department is None:
        return None
    known = d.register.departments.get(department)
    if known is None:
        return unknown_code(field, "department")
    if d.register.standing(known.grid, d.arrival) not in d.case.path:
        return Refusal(Reason.INVALID, field, f"department {department} serves {known.grid}, not {d.case.path[-1]}")
    return None


def given_against_table(
    d: Decision, department: str, reason: str | None, field: str, speaker: Speaker
) -> facts.GivenAgainstTable | Refusal | None:
    """What is told of a case that goes to another department than the pack names for its category (M55); a refusal
    where the role may not give it so, or says no reason. None: it goes as the table says, or the pack asks for none."""
    roles = d.rules.options.against_table
    named = routing.leading(d.case, d.rules, d.register, d.arrival) if roles else ""
    if not named or department == named:
        return None
    if speaker.role not in roles:
        may = f"against the table only these roles give a case to a department: {', '.join(roles)}"
        return Refusal(Reason.FORBIDDEN, field, f"the pack names {named} for this category; {may}")
    if reason is None:
        return Refusal(
            Reason.INVALID, "data.reason", f"the pack names {named} for this category: say why it is another"
        )
    giver = holding.unit_of(holding.Holder(speaker.grid, speaker.level, speaker.department, d.by), d.case, d.register)
    return facts.GivenAgainstTable(named=named, department=department, reason=reason, by=d.by, charged=giver)


def assign(d: Decision, owner: Owner, why: str, sender: str = "") -> None:
    """Pass ownership. With a `sender` (a grid), copies of its report go to the posts and departments that get one.

    Who says it needs none: a sponsor reports of its own grid.
    """
    d.tell(facts.Assigned(grid=owner.grid, level=owner.level, department=owner.department, why=why))
    if sender:
        posts, departments = routing.copies(sender, d.case, owner, d.rules, d.register, d.arrival)
        posts = tuple(code for code in posts if code != d.by)
        if posts or departments:
            d.tell(facts.Copied(posts=posts, departments=departments))


def tell_evidence(d: Decision, evidence: Iterable[Evidence]) -> None:
    """One fact for each photo or file."""
    for item in evidence:
        crs = (item.position.crs or d.register.options.crs) if item.position and not d.older else ""
        d.tell(
            facts.Evidenced(
                url=item.url or "",
                sha256=item.sha256,
                kind=item.kind,
                by=d.by,
                taken_at=to_ms(item.taken_at) if item.taken_at else None,
                lon=item.position.lon if item.position else None,
                lat=item.position.lat if item.position else None,
                crs=crs if crs in SHIFTED else "",
            )
        )
