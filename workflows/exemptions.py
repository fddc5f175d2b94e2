"""Exemptions (免责, 容错) of missed deadlines, and appeals (申诉). What was missed stays missed.

1. The unit that is charged with a missed deadline asks, by any of its posts that the pack lets: once for each deadline,
   while the case is open or after it has ended. What is charged to another unit later is not exempted any more: that
   one asks for itself.
2. It is decided strictly above that unit, so nobody exempts himself; what a department missed is decided by the posts
   of the grid that it serves or above. Of the top grid nobody stands above, so nothing can be asked for.
3. 容错 (M86) joins four conditions: found by the unit itself, promptly handled, reported, no harm done. The first three
   are what the case shows (`Tolerance` of its kind), the last is said by who decides. All stand in the fact, whatever
   the ground is. On the ground of tolerance nobody grants against one that fails; who decides may name another ground.
4. A refusal may be appealed once, in the time that the pack gives from then on; without such time it is final. The
   appeal is decided exactly one level above the grid of whoever refused, and that is final.
"""

from collections.abc import Callable
from typing import NamedTuple

from schemas import facts
from schemas.exemptions import (
    TOLERANCE,
    ExemptionAppealed,
    ExemptionGranted,
    ExemptionRefused,
    ExemptionRequested,
    OfMissed,
)
from schemas.facts import Unit
from schemas.refusals import Reason, Refusal
from workflows.case import Case, Exemption, Missed
from workflows.decision import Decision
from workflows.machine import Effect, Speaker, Tolerance
from workflows.policy.index import Policy

Fits = Callable[[Decision, Speaker, Missed], Refusal | None]
"""Why something may not be said of a missed deadline; None if it may."""


class Shown(NamedTuple):
    """What a case shows of the conditions of 容错, for a missed deadline."""

    found: bool  # 主动发现
    prompt: bool  # 及时处置
    reported: bool  # 整改上报


CONDITIONS = ("found by the unit itself (主动发现)", "promptly handled (及时处置)", "rectified and reported (整改上报)")
"""What `Shown` says, in words."""


def shown(case: Case, missed: Missed, tolerance: Tolerance, register: Policy, at: int) -> Shown:
    """What the case shows as it stands. Found by the unit: reported from one of the sources that are its own rounds, by
    a post of it or below it. Promptly handled: in the same cycle, without missing a deadline of the work."""
    post, unit = register.posts.get(case.by), missed.unit
    above = register.path(post.grid) if post is not None and post.grid in register.grids else ()
    own = post is not None and (
        post.department == unit.department
        if unit.department
        else not set(above).isdisjoint(own_grids(unit, register, at))
    )
    same = missed.cycle == case.cycle  # a later one began because a check found it unsolved
    late = any(each.cycle == missed.cycle and each.clock in tolerance.work for each in case.lapses)
    return Shown(
        found=own and case.source in tolerance.found,
        prompt=same and case.state in tolerance.handled and not late,
        reported=same and case.state in tolerance.reported,
    )


# ---- who has to do with it ---------------------------------------------------------------------------------


def own_grids(unit: Unit, register: Policy, at: int) -> tuple[str, str]:
    """The grid of a unit, and the one that goes on for it."""
    return unit.grid, register.standing(unit.grid, at)


def grids_above(unit: Unit, register: Policy, at: int) -> tuple[str, ...]:
    """The grids that decide what a unit asks for, from the top down: those above it; of a department, wherever it had
    the work, the grid that it serves and those above that one."""
    codes = tuple(filter(None, unit.path.split("/")))[:-1]
    department = register.departments.get(unit.department)
    if department is not None and department.grid in register.grids:
        codes = register.path(department.grid)
    return tuple(register.standing(code, at) for code in codes)


def grid_of_appeal(grid: str, register: Policy, at: int) -> str:
    """The grid one level above the one that refused; empty: there is none."""
    standing = register.standing(grid, at)
    path = register.path(standing) if standing in register.grids else ()
    return path[-2] if len(path) > 1 else ""


def is_another_s(d: Decision, speaker: Speaker, missed: Missed) -> Refusal | None:
    """The speaker is no post of the unit that is charged."""
    unit = missed.unit
    own = bool(unit.department) or speaker.grid in own_grids(unit, d.register, d.arrival)
    if own and speaker.department == unit.department:
        return None
    charged = unit.department or unit.grid
    return Refusal(Reason.FORBIDDEN, "actor", f"this deadline is charged to {charged}, whose own posts ask")


def no_request(d: Decision, speaker: Speaker, missed: Missed) -> Refusal | None:
    """Why nothing can be asked for by a speaker."""
    if refused := is_another_s(d, speaker, missed):
        return refused
    if missed.exemption is not None:
        what = {
            "granted": "it is exempted already",
            "refused": "its exemption was refused: appeal within the pack's time (exemption.appealed)",
            "dismissed": "its exemption was refused on appeal, too: that is final",
        }.get(missed.exemption.stage, "its exemption is asked for already, and not decided")
        return Refusal(Reason.IMPOSSIBLE, "data.clock", what)
    if not grids_above(missed.unit, d.register, d.arrival):
        return Refusal(Reason.IMPOSSIBLE, "actor", f"nobody stands above {missed.unit.grid} to decide it")
    return None


def no_decision(d: Decision, speaker: Speaker, missed: Missed) -> Refusal | None:
    """Why a speaker decides nothing."""
    asked = missed.exemption
    if asked is None or asked.stage not in ("requested", "appealed"):
        what = "no exemption of it is asked for" if asked is None else "its exemption has been decided"
        return Refusal(Reason.IMPOSSIBLE, "data.clock", what)
    above = grids_above(missed.unit, d.register, d.arrival)
    if asked.stage == "appealed":
        above = tuple(filter(None, (grid_of_appeal(asked.grid, d.register, d.arrival),)))
    if speaker.grid in above and not speaker.department:
        return None
    whose = "an appeal is decided one level above who refused" if asked.stage == "appealed" else "it is decided above"
    return Refusal(Reason.FORBIDDEN, "actor", f"{whose}, by a post of: {', '.join(above) or 'nobody'}")


def no_appeal(d: Decision, speaker: Speaker, missed: Missed) -> Refusal | None:
    """Why a speaker cannot appeal."""
    if refused := is_another_s(d, speaker, missed):
        return refused
    asked = missed.exemption
    if asked is None or asked.stage != "refused":
        stage = asked.stage if asked is not None else ""
        what = {
            "granted": "it is exempted already",
            "appealed": "it has been appealed already, and is not decided",
            "dismissed": "the appeal was refused: that is final",
        }.get(stage, "no exemption of it has been refused")
        return Refusal(Reason.IMPOSSIBLE, "data.clock", what)
    if asked.until is None:
        final = "this refusal is final: the pack gives no time for an appeal, or nobody stands above who refused"
        return Refusal(Reason.IMPOSSIBLE, "data.clock", final)
    if d.judged(0) > asked.until:
        return Refusal(Reason.IMPOSSIBLE, "time", "the time that the pack gives for an appeal is over")
    return None


# ---- what is said ------------------------------------------------------------------------------------------


def may(fits: Fits, first: Reason) -> Callable[[Decision, Speaker], Refusal | None]:
    """An admission: of some missed deadline of the case it may be said. Of several reasons why it may not, `first`."""

    def admission(d: Decision, speaker: Speaker) -> Refusal | None:
        refusals = [fits(d, speaker, missed) for missed in d.case.lapses]
        if None in refusals:
            return None
        nothing = Refusal(Reason.IMPOSSIBLE, "type", "no deadline of this case was missed that is charged to a unit")
        found = [each for each in refusals if each is not None]
        return next(reversed([each for each in found if each.reason is first] or found), nothing)

    return admission


def chosen(d: Decision, data: OfMissed, speaker: Speaker, fits: Fits) -> Missed | Refusal:
    """The missed deadline that is meant: the one of which this may be said."""
    named = [
        each
        for each in d.case.lapses
        if each.clock == data.clock
        and data.part in (None, each.level)
        and data.cycle in (None, each.cycle)
        and data.target in (None, each.target)
    ]
    if not named:
        what = "no deadline of this clock was missed, or none of this part, cycle and target"
        return Refusal(Reason.IMPOSSIBLE, "data.clock", what)
    refusals = [fits(d, speaker, each) for each in named]
    found = [each for each, refused in zip(named, refusals, strict=True) if refused is None]
    if len(found) == 1:
        return found[0]
    if not found:
        return next(filter(None, reversed(refusals)))
    several = {"part": {each.level for each in found}, "cycle": {each.cycle for each in found}}
    field = next((name for name, values in several.items() if len(values) > 1), "target")
    which = ", ".join(f"{each.level}/{each.cycle}/{each.target}" for each in found)
    detail = f"several of its deadlines were missed: say which by part/cycle/target, of {which}"
    return Refusal(Reason.INVALID, f"data.{field}", detail)


def request(d: Decision, data: ExemptionRequested, speaker: Speaker) -> Refusal | None:
    """Ask that a missed deadline be not held against the unit."""
    missed = chosen(d, data, speaker, no_request)
    if isinstance(missed, Refusal):
        return missed
    clock, level, cycle, target = missed.key
    d.tell(facts.ExemptionRequested(clock=clock, level=level, cycle=cycle, target=target, by=d.by, ground=data.ground))
    return None


def grant(tolerance: Tolerance) -> Effect:
    """An effect that exempts, for a kind of case."""

    def effect(d: Decision, data: ExemptionGranted, speaker: Speaker) -> Refusal | None:
        missed = chosen(d, data, speaker, no_decision)
        if isinstance(missed, Refusal):
            return missed
        assert missed.exemption is not None
        ground = data.ground or missed.exemption.ground
        found = shown(d.case, missed, tolerance, d.register, d.arrival)
        if ground == TOLERANCE:
            failed = [words for words, holds in zip(CONDITIONS, found, strict=True) if not holds]
            if failed:
                remedy = "refuse it, or grant it on another ground"
                detail = (
                    f"容错 asks for all of its conditions, and the case does not show: {', '.join(failed)}; {remedy}"
                )
                return Refusal(Reason.IMPOSSIBLE, "data.ground", detail)
            if not data.no_harm:
                detail = "容错 asks that no harm was done (未造成不良后果): who decides says so"
                return Refusal(Reason.INVALID, "data.no_harm", detail)
        decide(d, missed, missed.exemption, found, granted=True, ground=ground, harmless=data.no_harm)
        return None

    return effect


def refuse(tolerance: Tolerance) -> Effect:
    """An effect that exempts from nothing, for a kind of case."""

    def effect(d: Decision, data: ExemptionRefused, speaker: Speaker) -> Refusal | None:
        missed = chosen(d, data, speaker, no_decision)
        if isinstance(missed, Refusal):
            return missed
        asked, limit, until = missed.exemption, d.rules.options.appeal, None
        assert asked is not None
        found = shown(d.case, missed, tolerance, d.register, d.arrival)
        above = grid_of_appeal(speaker.grid, d.register, d.arrival) if asked.stage == "requested" else ""
        if limit is not None and above:
            until = d.calendar(d.register.calendar_of(missed.unit.grid)).deadline(d.judged(0), limit)
        grid = speaker.grid if until is not None else ""
        decide(d, missed, asked, found, granted=False, ground=asked.ground, grid=grid, until=until)
        return None

    return effect


def decide(
    d: Decision,
    missed: Missed,
    asked: Exemption,
    found: Shown,
    *,
    granted: bool,
    ground: str,
    harmless: bool = False,
    grid: str = "",
    until: int | None = None,
) -> None:
    """Tell the decision, with what the case shows as it stands."""
    clock, level, cycle, target = missed.key
    d.tell(
        facts.ExemptionDecided(
            clock=clock,
            level=level,
            cycle=cycle,
            target=target,
            by=d.by,
            granted=granted,
            ground=ground,
            judged=d.judged(0),
            found=found.found,
            prompt=found.prompt,
            reported=found.reported,
            harmless=harmless,
            appeal=asked.stage == "appealed",
            grid=grid,
            until=until,
        )
    )


def appeal(d: Decision, data: ExemptionAppealed, speaker: Speaker) -> Refusal | None:
    """Ask the level above whoever refused."""
    missed = chosen(d, data, speaker, no_appeal)
    if isinstance(missed, Refusal):
        return missed
    clock, level, cycle, target = missed.key
    d.tell(facts.ExemptionAppealed(clock=clock, level=level, cycle=cycle, target=target, by=d.by))
    return None


# ---- who is told -------------------------------------------------------------------------------------------


def told_to(d: Decision) -> Unit | None:
    """The unit from which whom to tell of an exemption is counted: the one that is charged; of an appeal the grid that
    refused. None: no exemption is spoken of."""
    for kind in (facts.ExemptionAppealed, facts.ExemptionDecided, facts.ExemptionRequested):
        said = d.told.get(kind)
        if said is None:
            continue
        key = said.clock, said.level, said.cycle, said.target
        missed = next(each for each in d.case.lapses if each.key == key)
        grid = missed.exemption.grid if missed.exemption is not None else ""
        if kind is facts.ExemptionAppealed and grid in d.register.grids:
            return Unit(f"/{'/'.join(d.register.path(grid))}/")
        return missed.unit
    return None
