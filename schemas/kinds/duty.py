"""The duty (履职): what a post owes in a period, and what it says of having done it.

The home bears it when its period begins; nobody reports it. Its id is derived (`schemas.derived_ids`), so a phone that
is offline knows the subject.
"""

from typing import Annotated, Literal

from msgspec import Meta, structs

from schemas.members import (
    BirthData,
    CaseId,
    Code,
    EventData,
    EventType,
    Evidence,
    Fact,
    Instant,
    Kind,
    Ms,
    Own,
    OwnFact,
)
from schemas.samples import PHOTO

Stage = Literal["running", "lapsed", "missed"]
"""How far a duty had come when it was excused: its period ran, or was over, or nobody could record it any more."""


class Owed(BirthData, frozen=True, kw_only=True):
    """The home says that a post owes a duty for a period: it lies in the post's grid, and is due with the period."""

    duty: Code
    post: Code
    first: Annotated[int, Meta(ge=19700101)]  # first local day of the period, YYYYMMDD
    until: Ms  # when it ends unkept: the due instant and what a record may come later
    quota: int = 1
    distinct: Literal["", "day", "place"] = ""
    site: Code | None = None  # the source of pollution that is looked at, where one is owed for each


class Recorded(EventData, frozen=True, kw_only=True):
    """A post has done what it owes (履职记录): a patrol, a visit, a contact. The event's `time` tells the period."""

    started: Instant | None = None
    ended: Instant | None = None
    grid: Code | None = None  # where, if not all over the post's own grid
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()
    form: Evidence | None = None  # the register form (检查登记表)
    # What was found on the way: reported on their own, before or later, as cases of the same home.
    problems: Annotated[tuple[CaseId, ...], Meta(max_length=50)] = ()


class Excused(EventData, frozen=True, kw_only=True):
    """A post above says that a duty need not be done, or need not have been (免责). What else there is to say is a
    sealed note."""

    reason: Literal["leave", "illness", "weather", "emergency", "other_orders", "no_signal", "other"]


class Duty(Own, frozen=True, tag="duty"):
    """What a duty keeps: the row of the pack, its period, when it ends by itself, and which records count."""

    duty: str
    first: int
    until: Ms | None = None
    quota: int = 1
    distinct: str = ""
    records: tuple[str, ...] = ()
    site: str = ""

    @property
    def wakes(self) -> int | None:
        """When it ends by itself; None once it has ended."""
        return self.until


class DutyOwed(OwnFact, frozen=True, tag="duty.owed"):
    """A post owes this for the period that begins on the local day `first`."""

    duty: str
    first: int
    until: Ms
    quota: int = 1
    distinct: str = ""
    site: str = ""

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Duty(
            duty=self.duty,
            first=self.first,
            until=self.until,
            quota=self.quota,
            distinct=self.distinct,
            site=self.site,
        )


class DutyRecorded(OwnFact, frozen=True, tag="duty.recorded"):
    """A record of a duty. `counts` is what makes it another one than those before it; empty: it keeps nothing more."""

    counts: str = ""
    grid: str = ""
    started: Ms | None = None
    ended: Ms | None = None
    form: str = ""  # SHA-256 of the register form
    problems: tuple[str, ...] = ()

    def keep(self, own: Own | None) -> Own:
        """One record more, if it counts."""
        assert isinstance(own, Duty)
        return structs.replace(own, records=(*own.records, self.counts)) if self.counts else own


class DutyExcused(OwnFact, frozen=True, tag="duty.excused"):
    """Excused by a post above, and how far the duty had come. A deadline that was missed stays missed beside it."""

    by: str
    reason: str
    stage: str
    token: str = ""  # of the sealed note

    def keep(self, own: Own | None) -> Own:
        """It changes nothing that is counted."""
        assert isinstance(own, Duty)
        return own


class DutyEnded(OwnFact, frozen=True, tag="duty.ended"):
    """Nobody will record it any more: `missed`, or `void` where nobody owes it."""

    how: str

    def keep(self, own: Own | None) -> Own:
        """It does not end by itself again."""
        assert isinstance(own, Duty)
        return structs.replace(own, until=None)


FACTS: tuple[type[Fact], ...] = (DutyOwed, DutyRecorded, DutyExcused, DutyEnded)
DUTY = Kind(
    name="duty",
    events={
        "duty.recorded": EventType(Recorded, "履职记录", {"evidence": [PHOTO]}, "Record"),
        "duty.excused": EventType(Excused, "免责", {"reason": "weather"}, "Excuse"),
    },
    facts=FACTS,
    own=Duty,
    sends={"duty.owed": Owed, "duty.void": EventData},
    words={
        "leave": ("请假", "on leave"),
        "illness": ("病假", "ill"),
        "weather": ("天气", "weather"),
        "emergency": ("应急任务", "an emergency"),
        "other_orders": ("另有任务", "other orders"),
        "no_signal": ("无信号", "no signal"),
        "other": ("其他", "other"),
    },
)
