"""The signal (监测信号): an episode of a device and rule, and the incident that stands for it (M52, M72, M73, M116).

    checking > alarmed > subsided > over        beside: ruled_out

1. An adapter says what an episode is; it lies where its device stands, by the active pack. Its id follows from device,
   rule and first instant, and no other one is taken: whoever says it again says it of the same case.
2. Where the rule wants eyes before work it is checked first (核实), by the leaf of its place. Confirmed, or without
   such a rule, it is an incident; dismissed, this episode is none, whatever comes of it.
3. A place has one open incident of a rule, however long it storms: a further signal joins it. A merged one goes on in
   its survivor.
4. What bore an incident stays until that has ended, so that others find it: `subsided`, once its episode is over.
5. An episode that outlasts its incident bears the next one only after the pack's rest: it looks after its incident each
   time that this is over. Which one is next follows from the one before, so of several that look at one instant the
   first bears it and the others join. Without a rest only a new episode does.
6. Silence of a device is an episode under a rule of its own.
"""

from collections.abc import Sequence

from schemas import facts
from schemas.derived_ids import derived_subject, instant_of
from schemas.envelope import to_ms
from schemas.kinds import incident, signal
from schemas.kinds.signal import (
    INCIDENT_ENDED,
    Began,
    Confirmed,
    Dismissed,
    Ended,
    IncidentEnded,
    Signal,
    SignalAttached,
    SignalBegan,
    SignalChecked,
    SignalLooked,
    SignalOver,
    SignalWorsened,
    Worsened,
)
from schemas.members import EventData, Position, Source
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import birth, effects, merging
from workflows.case import AWAITED, TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.figures import Measure
from workflows.machine import Birth, NamedClock, Speaker, State, Transition
from workflows.policy.devices import SignalRule, place_of
from workflows.policy.index import Policy

LOOKED, SUBSIDED = "signal.looked", "subsided"
STATES = (
    State(AWAITED, "待到", 1),
    State("checking", "待核实", 2, ("look",), hands="place"),
    State("alarmed", "报警中", 3),
    State(SUBSIDED, "已恢复待结案", 4),
    State("over", "已恢复", 5, terminal=True),
    State("ruled_out", "已排除", terminal=True),
)

OPEN = ("checking", "alarmed", SUBSIDED)
ENDED = ("over", "ruled_out")
TRANSITIONS = (
    Transition("signal.began", (AWAITED,), "checking", ("wants_eyes",)),
    Transition("signal.began", (AWAITED,), "alarmed"),
    Transition("signal.worsened", ("checking", "alarmed", "ruled_out"), "="),
    Transition("signal.ended", ("checking", "ruled_out"), "="),
    Transition("signal.ended", ("alarmed",), SUBSIDED, ("incident_goes_on",)),
    Transition("signal.ended", ("alarmed",), "over"),
    Transition("signal.confirmed", ("checking",), SUBSIDED, ("is_over",)),
    Transition("signal.confirmed", ("checking",), "alarmed"),
    Transition("signal.dismissed", ("checking",), "ruled_out"),
    Transition(INCIDENT_ENDED, (SUBSIDED,), "over"),
    Transition(INCIDENT_ENDED, ("alarmed",), "="),
    Transition(LOOKED, ("alarmed",), "="),
    Transition("case.deadline_ordered", ("checking",), "="),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", ("checking",), "="),
    Transition("case.evidence_added", (*OPEN, *ENDED), "="),
    Transition("case.commented", (*OPEN, *ENDED), "="),
)
MOST_LINKS = 64
"""So many incidents in a row are followed to the one that is open."""


def kept_by(case: Case) -> Signal:
    """What a signal keeps of its own."""
    assert isinstance(case.own, Signal)
    return case.own


# ---- what a row asks --------------------------------------------------------------------------------------


def wants_eyes(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The rule wants somebody to look before there is work."""
    return kept_by(case).checks


def is_over(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The episode is over, whatever becomes of the incident."""
    return bool(kept_by(case).over)


def incident_goes_on(case: Case, data: EventData, speaker: Speaker) -> bool:
    """It bore an incident which has not ended, as far as it has heard."""
    return kept_by(case).bears


# ---- how it begins ----------------------------------------------------------------------------------------


def subject_of(data: Began, register: Policy) -> str:
    """The only id of an episode of a device and rule; empty where the pack has no such device."""
    device, since = register.devices.get(data.device), to_ms(data.since)
    if device is None or device.grid not in register.grids or not 0 <= since < 1 << 48:
        return ""
    home = register.home(register.standing(device.grid, since))
    day = register.clock_of_days.local_day(since)
    return derived_subject(home, signal.SIGNAL.name, data.rule, data.device, day, since)


def key_of(rule: str, place: str) -> str:
    """The key under which the open signals of a rule and place are found."""
    return f"signal|{rule}|{place}"


def keys(data: Began, measured: tuple[int, ...] | None, register: Policy) -> Sequence[str]:
    """The key of an episode that begins."""
    device = register.devices.get(data.device)
    return () if device is None else (key_of(data.rule, place_of(device)),)


def begin(d: Decision, data: Began, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
    """Tell what episode it is, and where it lies."""
    register = d.register
    device, rule = register.devices.get(data.device), register.signals.get(data.rule)
    if device is None:
        return effects.unknown_code("data.device", "device")
    if rule is None or rule.type not in ("", device.type):
        return effects.unknown_code("data.rule", f"rule for devices of type {device.type}")
    if rule.category not in d.rules.categories:
        return effects.unknown_code("data.rule", "category")
    grid = register.standing(device.grid, d.judged(0))
    refused = birth.refuse_grid(register, d.judged(0), grid, home, "subject")
    if refused:
        return refused
    right = subject_of(data, register)
    if right != d.case.id:
        return Refusal(Reason.MISROUTED, "subject", f"the id of an episode follows from it: send {right or 'no such'}")
    category, place = d.rules.categories[rule.category], place_of(device)
    d.tell(
        facts.Born(
            definition=signal.SIGNAL.name,
            policy=d.rules.hash,
            by=d.by,
            path=register.path(grid),
            occurred=d.instant,
            judged=d.judged(0),
            category=category.code,
            group=category.group,
            reference=device.code,
            key=key_of(rule.code, place),
        )
    )
    d.tell(
        SignalBegan(
            device=device.code,
            rule=rule.code,
            type=device.type,
            place=place,
            since=to_ms(data.since),
            severity=data.severity,
            value=data.value or "",
            checks=rule.check,
            start=start_of(nearby),
        )
    )
    effects.tell_evidence(d, data.evidence)
    return None


def start_of(nearby: Sequence[Case]) -> str:
    """The case from which the incidents follow of open signals of the place and rule, as the latest one has it; empty:
    there is none."""
    held = [(case.opened, case.id, case.own) for case in nearby if isinstance(case.own, Signal)]
    latest = max(held, key=lambda each: each[:2], default=None)
    return "" if latest is None else latest[2].incident or latest[2].start or latest[1]


def watch(d: Decision, data: Began, speaker: Speaker, state: str) -> Refusal | None:
    """The leaf of its place has it; where nobody has to look first it is an incident at once."""
    grid = d.case.path[-1]
    effects.assign(d, Owner(grid, d.register.grids[grid].level), "begun")
    if not kept_by(d.case).checks:
        attach(d)
    return None


# ---- the incident -----------------------------------------------------------------------------------------


def rule_of(d: Decision) -> SignalRule:
    """The rule of a signal as the active pack has it, else as it was pinned."""
    code = kept_by(d.case).rule
    return d.register.signals.get(code) or d.rules.signals[code]


def next_incident(case: str) -> str:
    """The id of the incident that comes after one, of the same place and rule; or of the first one of a signal."""
    return derived_subject(home_of(case), incident.INCIDENT.name, signal.SIGNAL.name, case, 0, instant_of(case))


def problem_of(d: Decision, id_: str) -> Case | None:
    """The incident of an id, or what goes on for it; None: there is none."""
    case = merging.survivor_of(id_, d.find)
    return case if case is not None and case.opened and case.definition != signal.SIGNAL.name else None


def attach(d: Decision) -> None:
    """An incident stands for the signal: the first that is open of those that follow from where it starts, else the
    next one, which it bears. One that has been archived ended long ago."""
    kept = kept_by(d.case)
    found = kept.incident or kept.start or d.case.id
    rest = rule_of(d).rest_ms
    looks = d.arrival + rest if rest and not kept.over else None
    for _ in range(MOST_LINKS):
        known = problem_of(d, found)
        if known is not None and known.closed is None:
            d.tell(SignalAttached(incident=found, looks=looks))
            return
        found = next_incident(found)
        case = d.find(found)
        if case is None or not case.opened:
            break
    d.tell(SignalAttached(incident=found, bears=True, looks=looks))
    d.send(found, incident.BORNE, borne(d, kept), bears=incident.INCIDENT.name)


def borne(d: Decision, kept: Signal) -> incident.Borne:
    """What a signal bears: of the rule's category, where the device stands."""
    device = d.register.devices.get(kept.device) or d.rules.devices[kept.device]
    kind = d.register.device_types.get(device.type) or d.rules.device_types[device.type]
    lon, lat = device.lon, device.lat
    return incident.Borne(
        about=d.case.id,
        category=rule_of(d).category,
        source=Source(kind.source),
        grid=d.case.path[-1],
        position=Position(lon=lon, lat=lat, crs="WGS84") if lon is not None and lat is not None else None,
        site=device.site or None,
        reference=device.code,
    )


def look(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
    """The rest is over: it looks whether its incident goes on, and bears the next one if that ended a rest ago."""
    known, rest = problem_of(d, kept_by(d.case).incident), rule_of(d).rest_ms
    ended = known.closed or 0 if known is not None else 0
    if known is not None and known.closed is None:
        d.tell(SignalLooked(looks=d.instant + rest if rest else None))
    elif ended + rest > d.instant:
        d.tell(SignalLooked(looks=ended + rest, ended=True))
    else:
        attach(d)
    return None


def hear_end(d: Decision, data: IncidentEnded, speaker: Speaker) -> Refusal | None:
    """Its incident has ended. An episode that goes on bears the next one after the rest."""
    rest = rule_of(d).rest_ms
    d.tell(SignalLooked(looks=d.arrival + rest if rest and not kept_by(d.case).over else None, ended=True))
    return None


# ---- what is said of it -----------------------------------------------------------------------------------


def worsen(d: Decision, data: Worsened, speaker: Speaker) -> Refusal | None:
    """A further step of its rule is passed."""
    d.tell(SignalWorsened(severity=data.severity, value=data.value))
    effects.tell_evidence(d, data.evidence)
    return None


def end(d: Decision, data: Ended, speaker: Speaker) -> Refusal | None:
    """The episode is over."""
    kept, since = kept_by(d.case), to_ms(data.since)
    if kept.over:
        return Refusal(Reason.IMPOSSIBLE, "type", "this episode is over already")
    if since < kept.since:
        return Refusal(Reason.INVALID, "data.since", "an episode does not end before it begins")
    lasted = since - kept.since
    d.tell(SignalOver(since=since, reason=data.reason, value=data.value or "", worst=data.worst or "", lasted=lasted))
    return None


def confirm(d: Decision, data: Confirmed, speaker: Speaker) -> Refusal | None:
    """It is so: an incident stands for it."""
    d.tell(SignalChecked(outcome="confirmed", by=d.by))
    effects.tell_evidence(d, data.evidence)
    attach(d)
    return None


def dismiss(d: Decision, data: Dismissed, speaker: Speaker) -> Refusal | None:
    """Nothing is to be done about it."""
    d.tell(SignalChecked(outcome=data.reason, by=d.by))
    return None


SIGNAL = define(
    signal.SIGNAL,
    "监测信号",
    STATES,
    TRANSITIONS,
    (wants_eyes, is_over, incident_goes_on),
    births={"signal.began": Birth(begin, watch, keys, endless=True, subject=subject_of)},
    effects={
        **EFFECTS_OF_ANY,
        "signal.worsened": worsen,
        "signal.ended": end,
        "signal.confirmed": confirm,
        "signal.dismissed": dismiss,
        INCIDENT_ENDED: hear_end,
        LOOKED: look,
    },
    admits=ADMITS_OF_ANY,
    clocks=(NamedClock("look", "核实", "look"),),
    measures=(
        Measure("signals", SignalBegan, zh="监测报警的次数", en="signals of devices"),
        Measure("signals_checked", SignalChecked, per="outcome", zh="报警核实的次数", en="signals looked at"),
        Measure(
            "incidents_borne",
            SignalAttached,
            where=(("bears", True),),
            zh="由监测报警生成的事件",
            en="incidents that signals bore",
        ),
    ),
    sentences={
        SignalBegan: "监测报警 signal of {device} by {rule}: {value}",
        SignalWorsened: "报警加重 worse, step {severity}: {value}",
        SignalOver: "报警恢复 over: {reason}",
        SignalChecked: "核实 looked at: {outcome}",
        SignalLooked: "查看关联事件 looks again at {looks}",
        SignalAttached: "关联事件 stands for it: {incident}",
    },
    fulfils={
        "signal.confirmed": ("look",),
        "signal.dismissed": ("look", TOTAL),
        "signal.ended": (TOTAL,),
        INCIDENT_ENDED: (TOTAL,),
    },
    wakes=LOOKED,
    listed="asked",
    needs="signals",
)
