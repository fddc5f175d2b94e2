"""The home (归属网格): the case that each home has of its own, by which time bears what is owed in it.

1. Nobody speaks to it, no list shows it, and it never ends. An activation of a pack enters it.
2. It has no clocks. What it does when it comes up stands in `workflows.homes`.
"""

from schemas.kinds import home
from schemas.kinds.home import Turned, Unobserved
from workflows.case import AWAITED
from workflows.define import define
from workflows.figures import Measure
from workflows.machine import State

ENTERED = "entered"

HOME = define(
    home.HOME,
    "归属网格",
    (State(AWAITED, "待到", 1), State(ENTERED, "已设", 2)),
    (),
    (),
    births={},
    effects={},
    measures=(Measure("unobserved", Unobserved, zh="无人观察的时段", en="spans in which nothing arrived"),),
    sentences={
        Turned: "周期已推进 periods have begun up to {upto}",
        Unobserved: "无人观察 nothing arrived between {begin} and {end}",
    },
    listed="never",
)
