"""The home (归属网格): the case that each home has of its own, by which time bears what is owed in it.

1. Nobody speaks to it, no list shows it, and it never ends. An activation of a pack enters it, or the first listing of
   one of its grids.
2. It has no clocks. What it does when it comes up stands in `workflows.homes`.
3. It keeps which of its grids are listed as key areas, as supervisions tell it (`workflows.listing`).
"""

from schemas import facts
from schemas.kinds import home
from schemas.kinds.home import LISTED, UNLISTED, GridListed, GridUnlisted, Home, Listed, Turned, Unlisted, Unobserved
from schemas.refusals import Reason, Refusal
from workflows.case import AWAITED
from workflows.decision import Decision
from workflows.define import define
from workflows.figures import Measure
from workflows.machine import Birth, Speaker, State, Transition

ENTERED = "entered"


def be_entered(d: Decision, data: GridListed, own: str, lies_in: str, nearby: object) -> Refusal | None:
    """A home that no activation has entered stands from here on, and owes nothing."""
    path = d.register.path(lies_in) if lies_in in d.register.grids else ()
    at = d.judged(0)
    d.tell(facts.Born(definition=home.HOME.name, policy=d.rules.hash, by="", path=path, occurred=d.instant, judged=at))
    d.tell(facts.Moved(trigger=LISTED, was=AWAITED, state=ENTERED, judged=at))
    return None


def list_first(d: Decision, data: GridListed, speaker: Speaker, state: str) -> Refusal | None:
    """What is listed stands in it from its birth on."""
    return list_grid(d, data, speaker)


def list_grid(d: Decision, data: GridListed, speaker: Speaker) -> Refusal | None:
    """A grid of it is a key area."""
    d.tell(Listed(grid=data.grid, by=data.by, since=data.since, until=data.until))
    return None


def unlist_grid(d: Decision, data: GridUnlisted, speaker: Speaker) -> Refusal | None:
    """A grid of it is listed no more by a supervision."""
    own = d.case.own
    found = own.listings if isinstance(own, Home) else ()
    since = next((each.since for each in found if (each.grid, each.by) == (data.grid, data.by)), None)
    if since is None:
        return Refusal(Reason.IMPOSSIBLE, "data.by", "this supervision lists no such grid")
    d.tell(Unlisted(grid=data.grid, by=data.by, since=since, at=data.at))
    return None


HOME = define(
    home.HOME,
    "归属网格",
    (State(AWAITED, "待到", 1), State(ENTERED, "已设", 2)),
    (
        Transition(LISTED, (AWAITED,), ENTERED),
        Transition(LISTED, (ENTERED,), "="),
        Transition(UNLISTED, (ENTERED,), "="),
    ),
    (),
    births={LISTED: Birth(be_entered, list_first)},
    effects={LISTED: list_grid, UNLISTED: unlist_grid},
    measures=(Measure("unobserved", Unobserved, zh="无人观察的时段", en="spans in which nothing arrived"),),
    sentences={
        Turned: "周期已推进 periods have begun up to {upto}",
        Unobserved: "无人观察 nothing arrived between {begin} and {end}",
        Listed: "列为重点监控区域 {grid} is listed as a key area until {until} by {by}",
        Unlisted: "解除重点监控 {grid} is listed no more, since {at}",
    },
    listed="never",
)
