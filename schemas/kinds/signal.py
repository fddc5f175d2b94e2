"""The signal (监测信号): an episode of a device under a rule of the pack (M52, M73, M116).

What a device measures never enters the log. An adapter watches the values, and says what an episode is, with values as
evidence. What it says has ids that follow from the device, the rule and the first instant, so it is the same whoever
says it again.
"""

from typing import Annotated, Literal

from msgspec import Meta, structs

from schemas.members import (
    CaseId,
    Code,
    Decimal,
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

Severity = Annotated[int, Meta(ge=1, le=9, description="how bad it is: 1, and one more for each step of the rule")]
Over = Literal["value_back", "heard_again", "retired"]
"""Why an episode is over: the value is back, the device speaks again, or the pack has the device or rule no more."""


class Began(EventData, frozen=True, kw_only=True):
    """An episode has begun (报警): what the rule asks for has held since an instant, with the value of then."""

    device: Code
    rule: Code
    since: Instant
    value: Decimal | None = None
    severity: Severity = 1
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Worsened(EventData, frozen=True, kw_only=True):
    """It has become worse (加重): a further step of the rule is passed."""

    severity: Severity
    value: Decimal
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Ended(EventData, frozen=True, kw_only=True):
    """It is over (恢复), since an instant; `worst` is the worst value of it."""

    since: Instant
    reason: Over = "value_back"
    value: Decimal | None = None
    worst: Decimal | None = None


class Confirmed(EventData, frozen=True, kw_only=True):
    """Somebody has looked (核实): it is so."""

    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Dismissed(EventData, frozen=True, kw_only=True):
    """Somebody has looked (核实): nothing is to be done about it."""

    reason: Literal["false_alarm", "maintenance", "test", "other"]


class IncidentEnded(EventData, frozen=True, kw_only=True):
    """An incident says to the signal that bore it that it has ended, and in which state."""

    incident: CaseId
    state: str


INCIDENT_ENDED = "signal.incident_ended"
BEGAN, WORSENED, ENDED = "signal.began", "signal.worsened", "signal.ended"
"""What an adapter says."""


class Signal(Own, frozen=True, tag="signal"):
    """What a signal keeps. `incident`: the one that it bore (`bears`) or that it has joined; `looks`: when it looks
    whether that one has ended; `over`: since when the episode is over; `checks`: somebody looks before there is work;
    `start`: the case from which the incidents of its place and rule follow, empty: itself."""

    device: str
    rule: str
    place: str
    since: Ms
    severity: int = 1
    value: str = ""
    worst: str = ""
    over: Ms = 0
    incident: str = ""
    bears: bool = False
    looks: Ms | None = None
    checks: bool = False
    start: str = ""

    @property
    def wakes(self) -> Ms | None:
        """When it looks after its incident."""
        return self.looks


class SignalBegan(OwnFact, frozen=True, tag="signal.began"):
    """An episode of a device and rule has begun."""

    device: str
    rule: str
    type: str
    place: str
    since: Ms
    severity: int = 1
    value: str = ""
    checks: bool = False
    start: str = ""

    def keep(self, own: Own | None) -> Own:
        """All of it but the type."""
        return Signal(
            checks=self.checks,
            start=self.start,
            device=self.device,
            rule=self.rule,
            place=self.place,
            since=self.since,
            severity=self.severity,
            value=self.value,
            worst=self.value,
        )


class SignalWorsened(OwnFact, frozen=True, tag="signal.worsened"):
    """It passed a further step of its rule."""

    severity: int
    value: str

    def keep(self, own: Own | None) -> Own:
        """How bad it is now, and the value."""
        assert isinstance(own, Signal)
        return structs.replace(own, severity=self.severity, value=self.value, worst=self.value)


class SignalOver(OwnFact, frozen=True, tag="signal.over"):
    """The episode is over. `lasted`: for so many ms."""

    since: Ms
    reason: str
    value: str = ""
    worst: str = ""
    lasted: Ms = 0

    def keep(self, own: Own | None) -> Own:
        """Since when. It has nothing to look after any more."""
        assert isinstance(own, Signal)
        value, worst = self.value or own.value, self.worst or own.worst
        return structs.replace(own, over=self.since, value=value, worst=worst, looks=None)


class SignalChecked(OwnFact, frozen=True, tag="signal.checked"):
    """Somebody has looked. `outcome`: confirmed, or why nothing is to be done."""

    outcome: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """Nothing beyond the state."""
        assert isinstance(own, Signal)
        return own


class SignalAttached(OwnFact, frozen=True, tag="signal.attached"):
    """An incident stands for it: it bore that one, or joined the one of its place and rule that was open."""

    incident: str
    bears: bool = False
    looks: Ms | None = None

    def keep(self, own: Own | None) -> Own:
        """The incident."""
        assert isinstance(own, Signal)
        return structs.replace(own, incident=self.incident, bears=self.bears, looks=self.looks)


class SignalLooked(OwnFact, frozen=True, tag="signal.looked"):
    """It knows how its incident stands, and looks again at an instant; none: never. `ended`: that one has ended."""

    looks: Ms | None = None
    ended: bool = False

    def keep(self, own: Own | None) -> Own:
        """When it looks again, and that nothing of its own goes on any more."""
        assert isinstance(own, Signal)
        return structs.replace(own, looks=self.looks, bears=own.bears and not self.ended)


FACTS: tuple[type[Fact], ...] = (
    SignalBegan,
    SignalWorsened,
    SignalOver,
    SignalChecked,
    SignalAttached,
    SignalLooked,
)
SINCE = "2026-03-20T09:00:00+08:00"
SIGNAL = Kind(
    name="signal",
    sends={INCIDENT_ENDED: IncidentEnded},
    events={
        "signal.began": EventType(
            Began,
            "监测报警",
            {
                "device": "WY-DUST-01",
                "rule": "site-pm10",
                "since": SINCE,
                "value": "182.5",
                "severity": 1,
                "evidence": [PHOTO],
            },
            "Begin",
        ),
        "signal.worsened": EventType(
            Worsened, "报警加重", {"severity": 2, "value": "263", "evidence": [PHOTO]}, "Worsen"
        ),
        "signal.ended": EventType(
            Ended, "报警恢复", {"since": SINCE, "reason": "value_back", "value": "80", "worst": "263"}, "End"
        ),
        "signal.confirmed": EventType(Confirmed, "核实属实", {"evidence": [PHOTO]}, "Confirm"),
        "signal.dismissed": EventType(Dismissed, "核实排除", {"reason": "false_alarm", "note": "…"}, "Dismiss"),
    },
    facts=FACTS,
    own=Signal,
    words={
        "value_back": ("数值恢复", "the value is back"),
        "heard_again": ("恢复上报", "the device speaks again"),
        "retired": ("设备或规则停用", "the pack has its device or rule no more"),
        "confirmed": ("属实", "it is so"),
        "false_alarm": ("误报", "a false alarm"),
        "maintenance": ("检修", "maintenance"),
        "test": ("测试", "a test"),
        "other": ("其他", "other"),
    },
)
