"""A turn: what one record, or one firing, does to its own case, and to those to which that case says something.

`decide` lets cases take their steps here, over the cases as they are within the turn; nothing counts before the engine
enters all of it. Pure: the other cases come from `Others`.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import msgspec
from msgspec import Raw, Struct

from schemas import facts
from schemas.facts import AnyFact
from schemas.kinds import SENDS
from schemas.partition import home_of
from schemas.refusals import Refusal
from workflows.case import Case, responsible
from workflows.decision import Decision, Send
from workflows.definitions import DEFINITIONS, is_home
from workflows.policy.index import Policy

MOST_SENDS = 128
"""So many sends are carried out in one turn, however deep. Definitions see to it that they need no more."""
MOST_HOMES = 64
"""So often in a row a word may make a case say something to another home: more would go round for ever."""
SENT = "gridpatrol.case.sent"
"""The type of the cause of a step that another case caused: its source is that case, its id `<seq of its step>.<k>`."""


class EventOutcome(Struct, frozen=True):
    """What became of an event: done, parked or refused (then with the reason and the record's body)."""

    source: str
    id: str
    actor: str
    outcome: str
    refusal: Refusal | None = None
    raw: bytes = b""


class DecidedStep(Struct, frozen=True):
    """One step: its cause, its facts, and the instant by whose local day it counts."""

    cause: facts.Cause
    facts: tuple[AnyFact, ...]
    instant: int
    department: str  # of the owner under whom it counts
    post: str  # of whoever spoke, or of the one whose work the case is
    case: Case  # after it
    settles: EventOutcome | None = None  # what became in it of an event that was parked with its case
    sends: tuple[Send, ...] = ()
    mover: str = ""  # the post whose move it follows from


class Sent(Struct, frozen=True):
    """A send on its way: its cause, the instant by which its sender's step counts, the sender's arrival, and the post
    whose move it follows from. `homes`: how often in a row a home has spoken to another one, with this time. `letter`:
    the dead letter that an operator replays with it."""

    send: Send
    cause: facts.Cause
    instant: int
    arrival: int
    mover: str = ""
    homes: int = 0
    letter: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """By what sends are told apart, and put in order: the sender, the number of its step, and of the send in it."""
        seq, _, k = self.cause.id.partition(".")
        return self.cause.source, int(seq), int(k)


def answered_by_none(sent: Sent, answer: Send, arrival: int) -> Sent:
    """What is said back for a case that takes no step: it is archived, or was never there. Its number is that of what
    was said, with the send counted below zero, as no step of that case has one. `arrival`: of the record."""
    _, seq, k = sent.key
    cause = msgspec.structs.replace(sent.cause, source=sent.send.to, id=f"{seq}.{-k}", actor="", token="")
    return Sent(answer, cause, sent.instant, arrival, sent.mover, sent.homes + 1)


class OutgoingSend(Struct, frozen=True):
    """A send to a case of another home: the place of its step in the turn, and the number of the send in the step."""

    step: int
    k: int
    sent: Sent


class HeldSend(Struct, frozen=True):
    """A send whose target stands, so that it waits; `error` is what a rule has raised on the target just now."""

    sent: Sent
    error: Exception | None = None


class Result(Struct):
    """The case after a record or a firing, the steps of the turn, and what became of the event and of parked ones.

    Steps of other cases are among them, in order. `held`: sends that wait for their targets. `outgoing`: those to cases
    of other homes.
    """

    case: Case
    steps: list[DecidedStep]
    outcomes: list[EventOutcome]
    held: list[HeldSend] = msgspec.field(default_factory=list)
    outgoing: list[OutgoingSend] = msgspec.field(default_factory=list)


class Others:
    """The other cases of a home, as a turn asks for them. This one knows of none; the engine looks them up."""

    def prepare(self, ids: Collection[str]) -> None:
        """These cases will be asked for."""

    def find(self, id_: str) -> Case | None:
        """A case as it is before the turn; None: there is none."""
        return None

    def rules(self, case: Case, register: Policy) -> Policy:
        """The policy pinned to a case; the active one, `register`, before its birth."""
        return register

    def register(self, case: Case, active: Policy) -> Policy:
        """The register under which what is due of a case fires: the one that was active at that instant, where the case
        comes up later within a spread; else the active one."""
        return active

    def stands(self, id_: str) -> bool:
        """Whether a case stands still, so that what is said to it waits."""
        return False

    def refused(self, case: Case) -> bool:
        """Whether the database refuses the step that this case would take now."""
        return False

    def left_out(self, case: Case) -> bool:
        """Whether a send to a case is left out. Only where it is tried out which target the database refuses."""
        return False

    def archived(self, id_: str) -> bool:
        """Whether a case ended so long ago that nothing more comes to it."""
        return False

    def late(self, arrival: int) -> int:
        """The arrival at which another case hears what is said at this one."""
        return arrival

    def failed(self, error: Exception) -> None:
        """Something was raised while a target took its step. Raises it again, unless the target is to stand."""
        raise error


Mark = tuple[dict[str, Case], int, int, int, int]
"""How far a turn has come: its cases, and how many steps, outcomes, held and outgoing sends it has."""


class Turn:
    """The steps of a turn so far, and the cases as they are after them. `homes`: how often in a row a home has spoken
    to another one so that this turn came about."""

    def __init__(self, case: Case, register: Policy, others: Others, homes: int = 0) -> None:
        self.id = case.id
        self.register = register
        self.others = others
        self.cases: dict[str, Case] = {case.id: case}
        self.steps: list[DecidedStep] = []
        self.outcomes: list[EventOutcome] = []
        self.held: list[HeldSend] = []
        self.outgoing: list[OutgoingSend] = []
        self.homes = homes
        self.sent = 0

    @property
    def home(self) -> str:
        """The home of its cases."""
        return home_of(self.id)

    def find(self, id_: str) -> Case | None:
        """A case of the home as it is within the turn; None where there is none, or it lies elsewhere."""
        if id_ in self.cases:
            return self.cases[id_]
        return self.others.find(id_) if home_of(id_) == self.home else None

    def finder(self, kind: str) -> Callable[[str], Case | None]:
        """How a case of a kind finds others of its home, where it asks for their ids. The case of the home itself is
        given to kinds that declare to read it; to others there is none."""
        definition = DEFINITIONS.get(kind)
        if definition is not None and definition.reads_home:
            return self.find
        return lambda id_: None if is_home(id_) else self.find(id_)

    def stands(self, id_: str) -> bool:
        """Whether a case stands, or has begun to stand in this turn."""
        return self.others.stands(id_) or any(held.sent.send.to == id_ for held in self.held)

    def add(self, d: Decision, cause: facts.Cause, settles: EventOutcome | None = None) -> DecidedStep:
        """A decision becomes a step of its case, dated as its kind says, by the move that it made, else by the judged
        instant."""
        case = d.case
        case.seq += 1
        instant = case.judged if facts.Moved in d.told else d.judged(0)
        definition = DEFINITIONS.get(case.definition)
        if definition is not None and definition.counts_at is not None:
            instant = definition.counts_at(d)
        step = DecidedStep(
            cause,
            tuple(d.facts),
            instant,
            responsible(d.before, case.owner).department,
            case.post or cause.actor,
            case,
            settles,
            tuple(d.sends),
            d.mover,
        )
        self.steps.append(step)
        self.cases[case.id] = case
        if settles is not None:
            self.outcomes.append(settles)
        return step

    def on_their_way(self, step: DecidedStep, arrival: int) -> list[Sent]:
        """What a step says to other cases of the home, in order; what it says to other homes leaves with the turn."""
        if not step.sends:
            return []
        self.sent += len(step.sends)
        if self.sent > MOST_SENDS:
            raise RuntimeError(f"more than {MOST_SENDS} sends in one turn")
        near = [send.to for send in step.sends if home_of(send.to) == self.home]
        if len(near) < len(step.sends) and self.homes >= MOST_HOMES:
            raise RuntimeError(f"more than {MOST_HOMES} homes in a row speak to another one")
        self.others.prepare([to for to in near if to not in self.cases])
        case, late, found = step.case, self.others.late(arrival), list[Sent]()
        for k, send in enumerate(step.sends, 1):
            away = home_of(send.to) != self.home
            sent = Sent(
                send,
                facts.Cause(
                    type=SENT,
                    source=case.id,
                    id=f"{case.seq}.{k}",
                    occurred=step.instant,
                    traceparent=step.cause.traceparent,
                ),
                step.instant,
                late,
                step.mover,
                self.homes + 1 if away else 0,
            )
            if away:
                self.outgoing.append(OutgoingSend(len(self.steps) - 1, k, sent))
            else:
                found.append(sent)
        return found

    @contextmanager
    def under(self, register: Policy) -> Iterator[None]:
        """Let what follows be done under another register."""
        before, self.register = self.register, register
        try:
            yield
        finally:
            self.register = before

    def mark(self) -> Mark:
        """Where the turn is, for `back_to`."""
        return dict(self.cases), len(self.steps), len(self.outcomes), len(self.held), len(self.outgoing)

    def back_to(self, mark: Mark) -> None:
        """Undo what came after a mark."""
        self.cases, steps, outcomes, held, outgoing = mark
        del self.steps[steps:], self.outcomes[outcomes:], self.held[held:], self.outgoing[outgoing:]

    def result(self, id_: str) -> Result:
        """All of it, told by the case whose turn it is."""
        return Result(self.cases[id_], self.steps, self.outcomes, self.held, self.outgoing)


class _Stored(Struct, omit_defaults=True):
    """A send as it waits in the database, and as the log takes it to another home."""

    to: str
    trigger: str
    data: Raw
    cause: facts.Cause
    instant: int
    arrival: int
    bears: str = ""
    mover: str = ""
    homes: int = 0
    letter: str = ""


def encode_sent(sent: Sent) -> str:
    """A send as text, for as long as it waits."""
    send = sent.send
    data = Raw(msgspec.json.encode(send.data))
    stored = _Stored(
        send.to,
        send.trigger,
        data,
        sent.cause,
        sent.instant,
        sent.arrival,
        send.bears,
        sent.mover,
        sent.homes,
        sent.letter,
    )
    return msgspec.json.encode(stored).decode()


def decode_sent(text: str) -> Sent:
    """A send that has waited. Raises msgspec.DecodeError, and KeyError for a trigger that no release knows any more."""
    stored = msgspec.json.decode(text, type=_Stored)
    data = msgspec.json.decode(stored.data, type=SENDS[stored.trigger])
    send = Send(stored.to, stored.trigger, data, stored.bears)
    return Sent(send, stored.cause, stored.instant, stored.arrival, stored.mover, stored.homes, stored.letter)
