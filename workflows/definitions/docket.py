"""The docket (在办登记): the case by which a home knows its open approvals, and tells them of permit bans (区域限批).

1. Nobody speaks to it, no list shows it, and it never ends. The first approval, or the first ban, bears it.
2. An approval says to it that it is open, and that it has ended. One that begins where a ban holds is told so at once.
3. A ban holds where its grid is, or the successor of that, and for all that lies in it. Of those that it concerns
   a bounded number is told at once; the docket comes up for the others at the same instant, before any later record.
4. A ban that ends while it is being told is told to nobody further, and taken back from those who heard of it, wherever
   their grids have gone since.
"""

from schemas import facts
from schemas.kinds import approval, docket
from schemas.kinds.docket import (
    BANNED,
    ENTERED,
    LEFT,
    OPENED,
    TURNED,
    UNBANNED,
    Banned,
    DocketBanned,
    DocketEntered,
    DocketLeft,
    DocketTurned,
    DocketUnbanned,
    Entered,
    Left,
    Opened,
    Unbanned,
)
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows.case import AWAITED
from workflows.decision import Decision
from workflows.define import define
from workflows.machine import Birth, Speaker, State, Transition

KEPT = "kept"
AT_ONCE = 16
"""So many approvals are told in one step, at most: what they say in turn has room in the same turn."""


def be_opened(d: Decision, data: Opened, own: str, home: str, nearby: object) -> Refusal | None:
    """It stands from here on."""
    path = d.register.path(home) if home in d.register.grids else ()
    d.tell(
        facts.Born(
            definition=docket.DOCKET.name,
            policy=d.rules.hash,
            by="",
            path=path,
            occurred=d.instant,
            judged=d.judged(0),
        )
    )
    return None


def in_it(d: Decision, grid: str, banned: str) -> bool:
    """Whether a grid lies in one in which nothing is permitted."""
    here, there = (d.register.standing(code, d.arrival) for code in (grid, banned))
    return here in d.register.grids and there in d.register.path(here)


def enter(d: Decision, data: Entered, speaker: Speaker) -> Refusal | None:
    """An approval is open; it hears of the bans that hold."""
    d.tell(DocketEntered(approval=data.approval, grid=data.grid))
    for ban in docket.kept(d.case.own).bans:
        if in_it(d, data.grid, ban.grid):
            d.send(data.approval, approval.BANNED, approval.BanPlaced(by=ban.by))
    return None


def leave(d: Decision, data: Left, speaker: Speaker) -> Refusal | None:
    """An approval has ended."""
    d.tell(DocketLeft(approval=data.approval))
    return None


def ban(d: Decision, data: Banned, speaker: Speaker) -> Refusal | None:
    """Nothing is permitted in a grid from here on."""
    kept = docket.kept(d.case.own)
    if any(each.by == data.by for each in kept.bans):
        return Refusal(Reason.IMPOSSIBLE, "data.by", "this supervision bans already")
    concerns = tuple(each.approval for each in kept.open if in_it(d, each.grid, data.grid))
    d.tell(DocketBanned(grid=data.grid, by=data.by, since=d.arrival, concerns=concerns))
    tell_some(d)
    return None


def unban(d: Decision, data: Unbanned, speaker: Speaker) -> Refusal | None:
    """A ban holds no more."""
    kept = docket.kept(d.case.own)
    held = next((each for each in kept.bans if each.by == data.by), None)
    if held is None:
        return Refusal(Reason.IMPOSSIBLE, "data.by", "this supervision bans nothing")
    untold = {id_ for each in kept.rounds if each.by == data.by for id_ in each.left}
    told = (each.approval for each in kept.open if in_it(d, each.grid, held.grid) or knows(d, each.approval, data.by))
    concerns = tuple(id_ for id_ in told if id_ not in untold)
    d.tell(DocketUnbanned(by=data.by, since=d.arrival, concerns=concerns))
    tell_some(d)
    return None


def knows(d: Decision, id_: str, by: str) -> bool:
    """Whether an approval has been told of a ban: its grid may have gone to another place since."""
    found = d.find(id_)
    return found is not None and isinstance(found.own, approval.Approval) and by in found.own.bans


def tell_some(d: Decision) -> None:
    """Tell the next approvals whom a ban concerns, as many as one step may."""
    kept = docket.kept(d.case.own)
    if not kept.rounds:
        return
    first = kept.rounds[0]
    some = first.left[:AT_ONCE]
    for id_ in some:
        if first.lifted:
            d.send(id_, approval.UNBANNED, approval.BanLifted(by=first.by))
        else:
            d.send(id_, approval.BANNED, approval.BanPlaced(by=first.by))
    d.tell(DocketTurned(by=first.by, told=len(some)))


def go_on(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
    """It comes up for those who are still to be told."""
    tell_some(d)
    return None


DOCKET = define(
    docket.DOCKET,
    "在办登记",
    (State(AWAITED, "待到", 1), State(KEPT, "已设", 2)),
    (
        Transition(OPENED, (AWAITED,), KEPT),
        Transition(ENTERED, (KEPT,), "="),
        Transition(LEFT, (KEPT,), "="),
        Transition(BANNED, (KEPT,), "="),
        Transition(UNBANNED, (KEPT,), "="),
        Transition(TURNED, (KEPT,), "="),
    ),
    (),
    births={OPENED: Birth(be_opened, lambda d, data, speaker, state: None)},
    effects={ENTERED: enter, LEFT: leave, BANNED: ban, UNBANNED: unban, TURNED: go_on},
    sentences={
        DocketEntered: "在办 open: {approval} in {grid}",
        DocketLeft: "办结 ended: {approval}",
        DocketBanned: "区域限批 nothing is permitted in {grid}, by {by}",
        DocketUnbanned: "解除限批 nothing is banned by {by} any more",
        DocketTurned: "已告知 {told} told of {by}",
    },
    wakes=TURNED,
    listed="never",
)
