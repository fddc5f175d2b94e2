"""The task (任务): what one level gives another to do, how much, by when, and what becomes of it (M38, M107, M130).

It has one owner, a grid or a department, and lies in that one's home. What a whole city has to do is as many tasks, one
for each owner, with a common `code` under which they are counted together.
"""

from typing import Annotated, Literal

from msgspec import Meta, structs

from schemas.members import (
    Code,
    DayText,
    EventData,
    EventType,
    Evidence,
    Fact,
    Kind,
    Ms,
    Own,
    OwnFact,
    Quantity,
    Reference,
)
from schemas.samples import PHOTO

MOST_ITEMS = 50
"""So many items has a task at most."""
Goal = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=120,
        description="what is to be reached, in the words of the office; it stays in the log, so no names of people",
    ),
]
CountedIn = Annotated[str, Meta(min_length=1, max_length=20, description="what the quantity counts, such as 户 or km")]


class Assigned(EventData, frozen=True, kw_only=True):
    """Given to its owner (下达): `department`, else `grid`, else the home itself.

    `due` is the last local day of the task. `lead` and `assisting` are the bodies that lead it and that help, grids or
    departments; `items` what it consists of (五到位: 人员, 场所, 设备, 车辆, 执法设备), each by a word.
    """

    code: Code
    goal: Goal
    quantity: Quantity
    counted_in: CountedIn
    due: DayText
    grid: Code | None = None
    department: Code | None = None
    reference: Reference | None = None
    lead: Code | None = None
    assisting: Annotated[tuple[Code, ...], Meta(max_length=20)] = ()
    items: Annotated[tuple[Code, ...], Meta(max_length=MOST_ITEMS)] = ()


class Claimed(EventData, frozen=True, kw_only=True):
    """The owner takes it on (认领, M66)."""


class Progressed(EventData, frozen=True, kw_only=True):
    """How far it is (进展): `done` is all that is done so far, not what was added; `items` are those that are done."""

    done: Quantity
    items: Annotated[tuple[Code, ...], Meta(max_length=MOST_ITEMS)] = ()


class Reported(EventData, frozen=True, kw_only=True):
    """The owner reports it done (报送完成), all of it unless it says how much."""

    done: Quantity | None = None
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Checked(EventData, frozen=True, kw_only=True):
    """Who gave it has checked it (验收): it is done, or goes back to the owner (退回), until the day `due`."""

    outcome: Literal["passed", "returned"]
    due: DayText | None = None


class Ended(EventData, frozen=True, kw_only=True):
    """It is settled (办结)."""


class Withdrawn(EventData, frozen=True, kw_only=True):
    """Taken back by who gave it (撤回)."""

    reason: Literal["error", "settled", "other"]


class Task(Own, frozen=True, tag="task"):
    """What a task keeps. `office` is who gave it, a grid and perhaps a department of it; `due` its last local day
    (YYYYMMDD) as it stands now; `done` what was said last, of the instant `as_of`."""

    code: str
    goal: str
    quantity: str
    counted_in: str
    due: int
    office: str
    office_department: str = ""
    department: str = ""  # the owner, where that is one
    lead: str = ""
    assisting: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    done: str = "0"
    done_items: tuple[str, ...] = ()
    as_of: Ms = 0
    progress: int = 0
    claimed: bool = False
    sent_back: int = 0


class TaskAssigned(OwnFact, frozen=True, tag="task.assigned"):
    """It was given to its owner."""

    code: str
    goal: str
    quantity: str
    counted_in: str
    due: int
    office: str
    office_department: str = ""
    department: str = ""  # the owner, where that is one
    lead: str = ""
    assisting: tuple[str, ...] = ()
    items: tuple[str, ...] = ()

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Task(**structs.asdict(self))


class TaskClaimed(OwnFact, frozen=True, tag="task.claimed"):
    """The owner has taken it on."""

    by: str

    def keep(self, own: Own | None) -> Own:
        """That it is claimed."""
        assert isinstance(own, Task)
        return structs.replace(own, claimed=True)


class TaskProgressed(OwnFact, frozen=True, tag="task.progressed"):
    """How far it was at an instant."""

    done: str
    as_of: Ms
    by: str
    items: tuple[str, ...] = ()

    def keep(self, own: Own | None) -> Own:
        """What was so later than what is known; an older word is one more, and changes nothing."""
        assert isinstance(own, Task)
        own = structs.replace(own, progress=own.progress + 1)
        if self.as_of < own.as_of:
            return own
        items = tuple(item for item in own.items if item in own.done_items or item in self.items)
        return structs.replace(own, done=self.done, done_items=items, as_of=self.as_of)


class TaskReported(OwnFact, frozen=True, tag="task.reported"):
    """Reported done. `late`: after its last day; `short`: less than its quantity."""

    done: str
    as_of: Ms
    by: str
    late: bool = False
    short: bool = False

    def keep(self, own: Own | None) -> Own:
        """How much is done."""
        assert isinstance(own, Task)
        return structs.replace(own, done=self.done, as_of=max(self.as_of, own.as_of))


class TaskChecked(OwnFact, frozen=True, tag="task.checked"):
    """Checked by who gave it. `due`: its last local day from here on."""

    outcome: str
    by: str
    due: int

    def keep(self, own: Own | None) -> Own:
        """The day until which the owner has it again."""
        assert isinstance(own, Task)
        return structs.replace(own, due=self.due, sent_back=own.sent_back + (self.outcome == "returned"))


FACTS: tuple[type[Fact], ...] = (TaskAssigned, TaskClaimed, TaskProgressed, TaskReported, TaskChecked)
TASK = Kind(
    name="task",
    events={
        "task.assigned": EventType(
            Assigned,
            "下达任务",
            {
                "code": "ready-2026",
                "goal": "五到位",
                "quantity": "5",
                "counted_in": "项",
                "due": "2026-06-30",
                "grid": "WY01",
                "lead": "WY-EPB",
                "assisting": ["WY-URBAN"],
                "items": ["人员", "场所", "设备", "车辆", "执法设备"],
            },
            "Give a task",
        ),
        "task.claimed": EventType(Claimed, "认领", {}, "Take on"),
        "task.progressed": EventType(Progressed, "进展", {"done": "3", "items": ["人员", "场所", "设备"]}, "Progress"),
        "task.reported": EventType(Reported, "报送完成", {"done": "5", "evidence": [PHOTO]}, "Report done"),
        "task.checked": EventType(Checked, "验收", {"outcome": "passed"}, "Check"),
        "task.ended": EventType(Ended, "办结", {}, "Settle"),
        "task.withdrawn": EventType(Withdrawn, "撤回任务", {"reason": "error"}, "Take back"),
    },
    facts=FACTS,
    own=Task,
    words={
        "passed": ("通过", "enough"),
        "returned": ("退回", "sent back"),
        "settled": ("已解决", "settled meanwhile"),
        "error": ("录入有误", "entered by mistake"),
        "other": ("其他", "other"),
    },
)
