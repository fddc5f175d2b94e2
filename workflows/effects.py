"""What each trigger does besides moving the case: owners, copies, checks, cycles, orders.

In: a decision, what was said, who said it. Out: facts told into the decision, or a refusal; then nothing was
told that counts. One function per trigger; a trigger without one only moves the case. Birth is in `birth.py`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from schemas import events as e
from schemas import facts as f
from schemas.envelope import to_ms
from schemas.refusals import Reason, Refusal
from workflows import routing, sla
from workflows.case import Owner
from workflows.clocks.limits import Limit, LimitError, parse_limit
from workflows.decision import Decision
from workflows.definitions.machine import Speaker

# ---- the main line ----------------------------------------------------------------------------------------


def dissuade(d: Decision, said: e.DissuasionRecorded, at: Speaker) -> Refusal | None:
    """Effective dissuasion is handling on the spot: the leaf's own check decides (M14, M15)."""
    d.tell(f.Dissuaded(outcome=said.outcome, level=at.level))
    if said.outcome == "effective":
        d.tell(f.Handled(level=len(d.case.path), by=d.by, checks=(len(d.case.path),)))
    return None


def report_up(d: Decision, said: e.ReportedUp, at: Speaker) -> Refusal | None:
    """To the upper grid with authority, or the department named (M15-M17)."""
    owner = routing.upward(d.case, d.rules, d.register)
    if said.to_grid is not None:
        if said.to_grid not in d.case.path[:-1]:
            return Refusal(
                Reason.INVALID,
                "data.to_grid",
                f"must be a grid above the place: {', '.join(d.case.path[:-1])}",
            )
        owner = Owner(said.to_grid, d.case.path.index(said.to_grid) + 1)
    if said.to_department is not None:
        refused = check_department(d, said.to_department, "data.to_department")
        if refused:
            return refused
        grid = d.register.departments[said.to_department].grid
        owner = Owner(grid, d.register.grids[grid].level, said.to_department)
    assign(d, owner, "reported", at.grid)
    return None


def dispatch(d: Decision, said: e.Dispatched, at: Speaker) -> Refusal | None:
    """A department leads, others assist, and so does the grid of the place (M18).

    A leaf finds and checks, it does not handle: what came back to it goes to the level with authority first.
    """
    for code, field in [(said.lead, "data.lead"), *((c, "data.assisting") for c in said.assisting)]:
        refused = check_department(d, code, field)
        if refused:
            return refused
    owner = d.case.owner
    if owner.level == d.register.leaf_level:
        owner = routing.upward(d.case, d.rules, d.register)
    d.tell(f.Assigned(grid=owner.grid, level=owner.level, department=said.lead, why="dispatched"))
    d.tell(f.Assisting(units=tuple(dict.fromkeys((*said.assisting, d.case.path[-1])))))
    return None


def arrive(d: Decision, said: e.DepartmentArrived, at: Speaker) -> Refusal | None:
    """A department on site: the grid of the place assists from here (配合处理, M18)."""
    if said.department not in d.register.departments:
        return unknown_code("data.department", said.department, "department")
    d.tell(f.Arrived(department=said.department))
    units = dict.fromkeys((*d.case.assisting, d.case.path[-1]))
    if said.department != d.case.owner.department:
        units[said.department] = None
    if tuple(units) != d.case.assisting:
        d.tell(f.Assisting(units=tuple(units)))
    return None


def order_rectification(d: Decision, said: e.RectificationOrdered, at: Speaker) -> Refusal | None:
    """The responsible unit gets a stage and a clock of its own (M24)."""
    limit = _limit(said.limit, "data.limit")
    if isinstance(limit, Refusal):
        return limit
    if limit is not None and said.due is not None:
        return Refusal(Reason.INVALID, "data", "give due or limit, not both")
    d.tell(f.Ordered(stage=said.stage, unit=said.unit or d.case.unit))
    running = d.case.clock("rectify", said.stage)  # other stages go on: stop work, fine, pull down
    if running is not None:
        sla.stop(d, running, "rectification.ordered")
    sla.start(d, "rectify", said.stage, ordered=to_ms(said.due) if said.due else None, limit=limit)
    return None


def complete_rectification(d: Decision, said: e.RectificationCompleted, at: Speaker) -> Refusal | None:
    """A stage is done, says the responsible unit."""
    running = d.case.clock("rectify", said.stage)
    if running is None:
        return Refusal(Reason.IMPOSSIBLE, "data.stage", f"stage {said.stage} was not ordered or is already done")
    sla.stop(d, running, "rectification.completed")
    d.tell(f.Rectified(stage=said.stage))
    return None


def handle(d: Decision, said: e.HandlingCompleted, at: Speaker) -> Refusal | None:
    """Handled: the levels below are to check on site (M33, M34)."""
    owner = d.case.owner
    d.tell(f.Handled(level=owner.level, by=d.by, checks=at.checks, department=owner.department))
    tell_evidence(d, said.evidence)
    return None


def check(d: Decision, said: e.VerificationRecorded, at: Speaker) -> Refusal | None:
    """A check on site; the last level's decides, and unsolved starts a new cycle (M35)."""
    refused = _may_check(d, at)
    if refused:
        return refused
    decides = at.level >= len(d.case.path)
    d.tell(f.Checked(level=at.level, outcome=said.outcome, by=d.by, decides=decides))
    tell_evidence(d, said.evidence)
    if decides and said.outcome == "unsolved":
        _rework(d)
    return None


def _may_check(d: Decision, at: Speaker) -> Refusal | None:
    """Where the pack says so, who handled it does not verify it, nor the chief of an enterprise."""
    options, post = d.rules.options, d.register.posts[at.post]
    if options.verifier_differs and at.post == d.case.handled_by:
        return Refusal(Reason.FORBIDDEN, "actor", "who handled it does not verify it: another post has to check")
    grid = d.register.grids.get(at.grid)
    if post.role == "chief" and grid is not None and grid.kind in options.barred_verifiers:
        return Refusal(
            Reason.FORBIDDEN,
            "actor",
            "the head of an enterprise does not verify in its own grid: the member checks",
        )
    return None


def _rework(d: Decision) -> None:
    """Back to the rework level, whoever handled it, a cycle later; a loop alarm from the pack's count on."""
    cycle, options = d.case.cycle + 1, d.rules.options
    looped = cycle >= options.loop_alarm
    for clock in d.case.clocks:
        if clock.name != sla.TOTAL:
            sla.stop(d, clock, "verification.recorded")
    d.tell(f.Reworked(cycle=cycle, looped=looped))
    grid = routing.ancestor(d.case.path, options.rework_level)
    d.tell(f.Assigned(grid=grid, level=min(options.rework_level, len(d.case.path)), why="rework"))
    if looped:
        posts = routing.told(("upper_chief", "supervisor", "sponsor"), d.case, d.register, d.arrival)
        if posts:
            alert = f"{d.case.id}|loop|{cycle}"
            now = d.judged(d.case.judged)
            quiet = sla.not_before(d, "loop", now)
            d.tell(f.AlertRaised(alert=alert, kind="loop", to=posts, due_at=now, not_before=quiet))


# ---- side lines -------------------------------------------------------------------------------------------


def escalate(d: Decision, said: e.Escalated, at: Speaker) -> Refusal | None:
    """Ownership moves up, copies go out (M25, M26, M30-M32)."""
    to = routing.next_above(d.case, said.reason, d.rules, d.register)
    if to is None:
        return Refusal(Reason.IMPOSSIBLE, "type", "the case is at the top level already")
    if said.to_grid is not None:
        above = d.case.path[: d.case.owner.level - 1]
        if said.to_grid not in above:
            return Refusal(Reason.INVALID, "data.to_grid", f"must be a grid above the owner: {', '.join(above)}")
        to = Owner(said.to_grid, above.index(said.to_grid) + 1)
    raise_to(d, to, said.reason, at.grid)
    return None


def raise_to(d: Decision, to: Owner, reason: str, sender: str) -> None:
    """The facts of an escalation."""
    was = d.case.owner
    d.tell(f.Escalated(reason=reason, was_level=was.level, level=to.level))
    assign(d, to, "escalated", sender)


def send_back(d: Decision, said: e.Returned, at: Speaker) -> Refusal | None:
    """Back to who sent it; the first owner's report goes back to the grid that reported it."""
    trail = d.case.trail
    back = trail[-1] if trail else Owner(d.case.path[-1], len(d.case.path))
    d.tell(f.Returned(reason=said.reason))
    d.tell(f.Assigned(grid=back.grid, level=back.level, department=back.department, why="returned"))
    return None


def reassign(d: Decision, said: e.Reassigned, at: Speaker) -> Refusal | None:
    """Another owner by order (M55)."""
    if (said.to_grid is None) == (said.to_department is None):
        return Refusal(Reason.INVALID, "data", "name either to_grid or to_department")
    if said.to_department is not None:
        refused = check_department(d, said.to_department, "data.to_department")
        if refused:
            return refused
        grid = d.register.departments[said.to_department].grid
    else:
        grid = said.to_grid or ""
        if grid not in d.register.grids:
            return unknown_code("data.to_grid", grid, "grid")
    assign(d, Owner(grid, d.register.grids[grid].level, said.to_department or ""), "reassigned")
    return None


def suspend(d: Decision, said: e.Suspended, at: Speaker) -> Refusal | None:
    """Put aside until a day, or until it is resumed."""
    until = to_ms(said.until) if said.until else None
    if until is not None and until <= d.arrival:
        return Refusal(Reason.INVALID, "data.until", "must lie in the future")
    d.tell(f.Suspended(reason=said.reason, was=d.case.state, until=until))
    return None


def take_up(d: Decision, said: e.Resumed, at: Speaker) -> Refusal | None:
    """Taken up again. The guards have read where it was suspended from."""
    d.tell(f.Resumed())
    return None


def order_deadline(d: Decision, said: e.DeadlineOrdered, at: Speaker) -> Refusal | None:
    """A new deadline for a running clock (延期)."""
    limit = _limit(said.limit, "data.limit")
    if isinstance(limit, Refusal):
        return limit
    if (limit is None) == (said.due is None):
        return Refusal(Reason.INVALID, "data", "give either due or limit")
    clock = d.case.clock(said.clock)
    if clock is None:
        names = ", ".join(c.name for c in d.case.clocks)
        return Refusal(Reason.INVALID, "data.clock", f"no clock {said.clock!r} runs; running: {names}")
    sla.retarget(d, clock, due=to_ms(said.due) if said.due else None, limit=limit, why="ordered")
    return None


def _limit(text: str | None, field: str) -> Limit | Refusal | None:
    if text is None:
        return None
    try:
        return parse_limit(text)
    except LimitError as error:
        return Refusal(Reason.INVALID, field, str(error))


def merge(d: Decision, said: e.Merged, at: Speaker) -> Refusal | None:
    """Linked to the case that goes on."""
    if said.into == d.case.id:
        return Refusal(Reason.INVALID, "data.into", "a case is not merged into itself")
    d.tell(f.Linked(into=said.into))
    return None


def note(what: str) -> Callable[[Decision, Any, Speaker], None]:
    """Something said whose only trace is who said it, why, and the token of its sealed text."""

    def tell(d: Decision, said: Any, at: Speaker) -> None:
        d.tell(f.Noted(what=what, by=d.by, reason=getattr(said, "reason", ""), token=d.token))

    return tell


def add_evidence(d: Decision, said: e.EvidenceAdded, at: Speaker) -> Refusal | None:
    """More evidence."""
    tell_evidence(d, said.evidence)
    return None


def acknowledge(d: Decision, said: e.Acknowledged, at: Speaker) -> Refusal | None:
    """The alerts of a clock, or of all, have been seen."""
    told = [c for c in d.case.clocks if c.told and said.clock in (None, c.name)]
    if not told:
        return Refusal(Reason.IMPOSSIBLE, "data.clock", "no alert of this case is open")
    d.tell(f.Acknowledged(by=d.by, clock=said.clock or ""))
    for clock in told:
        d.tell(f.AlertEnded(clock=clock.name, level=clock.level, cycle=clock.cycle, how="acknowledged", by=d.by))
    return None


def urge(d: Decision, said: e.Urged, at: Speaker) -> Refusal | None:
    """Urge the owner: an alert without a clock."""
    d.tell(f.Urged(by=d.by))
    posts = routing.told(("owner", "owner_chief"), d.case, d.register, d.arrival)
    if posts:
        alert = f"{d.case.id}|urge|{d.case.seq + 1}"
        d.tell(f.AlertRaised(alert=alert, kind="urge", to=posts, due_at=d.judged(d.case.judged)))
    return None


# ---- what several effects share ----------------------------------------------------------------------------


def unknown_code(field: str, code: str, what: str) -> Refusal:
    """The refusal of a code that the pack does not know."""
    return Refusal(Reason.UNKNOWN_CODE, field, f"{code!r} is no {what} of the active pack")


def check_department(d: Decision, department: str, field: str) -> Refusal | None:
    """Refuse an unknown department, and one that the place does not lie below: it could not handle the case."""
    known = d.register.departments.get(department)
    if known is None:
        return unknown_code(field, department, "department")
    if known.grid not in d.case.path:
        return Refusal(Reason.INVALID, field, f"department {department} serves {known.grid}, not {d.case.path[-1]}")
    return None


def assign(d: Decision, owner: Owner, why: str, sender: str = "") -> None:
    """Pass ownership. With a `sender` (a grid), copies of its report go to the posts and departments that get one."""
    d.tell(f.Assigned(grid=owner.grid, level=owner.level, department=owner.department, why=why))
    if sender:
        posts, departments = routing.copies(sender, d.case, owner, d.rules, d.register, d.arrival)
        if posts or departments:
            d.tell(f.Copied(posts=posts, departments=departments))


def tell_evidence(d: Decision, evidence: Iterable[e.Evidence]) -> None:
    """One fact for each photo or file."""
    for item in evidence:
        d.tell(
            f.Evidenced(
                url=item.url,
                sha256=item.sha256,
                kind=item.kind,
                by=d.by,
                taken_at=to_ms(item.taken_at) if item.taken_at else None,
                lon=item.position.lon if item.position else None,
                lat=item.position.lat if item.position else None,
            )
        )


EFFECTS: dict[str, Callable[[Decision, Any, Speaker], Refusal | None]] = {
    "dissuasion.recorded": dissuade,
    "incident.reported_up": report_up,
    "incident.returned": send_back,
    "incident.dispatched": dispatch,
    "department.arrived": arrive,
    "rectification.ordered": order_rectification,
    "rectification.completed": complete_rectification,
    "incident.escalated": escalate,
    "handling.completed": handle,
    "verification.checked": check,
    "verification.recorded": check,
    "incident.suspended": suspend,
    "incident.resumed": take_up,
    "deadline.ordered": order_deadline,
    "incident.reassigned": reassign,
    "incident.merged": merge,
    "incident.rejected": note("rejected"),
    "incident.withdrawn": note("withdrawn"),
    "incident.force_closed": note("force_closed"),
    "evidence.added": add_evidence,
    "comment.added": note("comment"),
    "incident.acknowledged": acknowledge,
    "incident.urged": urge,
}
"""What a trigger does. Without an entry it only moves the case; birth is in `decide`."""
