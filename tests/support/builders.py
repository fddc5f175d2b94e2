"""What the tests of the rules share: the sample pack, events as people send them, a case told by events.

In: a line such as `story.say("incident.accepted", "WY01-CHIEF", at("03-02 09:00"))`. Out: the outcome of the
rules, checked on the way: a case is always the fold of its facts, and nothing is told that cannot be told
again.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import msgspec

from engine.packs import load_pack
from engine.principals import Operator
from lab.events import DAY, HOUR, at, event, instant, subject
from schemas import facts
from schemas.envelope import Record, decode_data, decode_envelope, encode_record
from schemas.members import EventData, Fact
from schemas.refusals import Reason, Refusal
from workflows.case import Case, encode
from workflows.decide import IncomingEvent, fire, hear, succeed, take
from workflows.decision import Send
from workflows.evolve import evolve
from workflows.policy import model
from workflows.policy.index import Policy
from workflows.turn import SENT, DecidedStep, Others, Result, Sent

__all__ = ["DAY", "HOUR", "at", "event", "instant", "subject"]

LEAF = "WY01-01"
MEMBER = "WY01-01-MEMBER"
LEAF_CHIEF = "WY01-01-CHIEF"
STREET = "WY01-CHIEF"
DISTRICT = "WY-CHIEF"
CITY = "XA-CHIEF"
CENTRE = "WY-DISPATCH"
HOTLINE = "WY-12345"

DUST = "D3-01"  # street level
BARE = "D3-04"  # street level
METRO = "D2-02"  # district level
OUTLET = "D2-14"  # district level
SEWERS = "D1-01"  # city level

OPERATOR = Operator("local:somebody", "cli")


@cache
def weiyang() -> Policy:
    """The sample pack, without what its posts owe in each period: time would bear hundreds of cases beside a test's;
    and without its register of sites, so that a test names units as it likes."""
    return changed(shipped(), duties=(), sites=())


@cache
def shipped() -> Policy:
    """The sample pack as it is shipped, with its duties."""
    pack = load_pack("weiyang")
    return Policy(pack, model.digest(pack))


def changed(policy: Policy | None = None, *, options: dict[str, Any] | None = None, **fields: Any) -> Policy:
    """A pack that differs from another (the sample) in some options and fields."""
    pack = (policy or weiyang()).pack
    if options:
        fields["options"] = msgspec.structs.replace(pack.options, **options)
    pack = msgspec.structs.replace(pack, **fields)
    return Policy(pack, model.digest(pack))


def undissuaded(policy: Policy | None = None) -> Policy:
    """A pack (the sample) in which what is found on patrol is reported at once."""
    pack = (policy or weiyang()).pack
    return changed(policy, categories=tuple(msgspec.structs.replace(c, dissuade=False) for c in pack.categories))


def in_the_field() -> tuple[model.RoleRow, ...]:
    """The roles of the sample pack, all with the offline allowance of the options."""
    return tuple(msgspec.structs.replace(row, offline_ms=None) for row in weiyang().pack.roles)


def noise(length: int) -> str:
    """The same text that does not compress: an index takes much more of one that does."""
    return "".join(map(chr, Random(1).choices(range(0x4E00, 0x9FA5), k=length)))


def arrived(said: dict[str, Any], arrival: int) -> IncomingEvent:
    """An event in the inbox log, already through the decoder."""
    envelope = decode_envelope(msgspec.json.encode(said))
    assert not isinstance(envelope, Refusal), envelope
    data = decode_data(envelope)
    assert not isinstance(data, Refusal), data
    seed = "07" * 32 if data.asks_for_bytes else ""
    record = Record(event=envelope, digest="d", digests=("2:d",), measured=data.measured, seed=seed)
    return IncomingEvent(record, data, arrival, encode_record(record))


def rung_of(fact: facts.ClockRung) -> tuple[str, int, int, int, str, int]:
    """What a rung fires once for: clock, level, cycle, target, rung and repeat."""
    return fact.clock, fact.level, fact.cycle, fact.target, fact.rung, fact.repeat


class Beside(Others):
    """The stories of one home, which hear each other; one that a send bears joins them."""

    def __init__(self) -> None:
        self.stories: dict[str, Story] = {}

    def find(self, id_: str) -> Case | None:
        """The case of a story, if it has begun."""
        story = self.stories.get(id_)
        return story.case if story is not None and story.case.seq else None

    def rules(self, case: Case, register: Policy) -> Policy:
        """The pack of a story."""
        story = self.stories.get(case.id)
        return story.rules if story is not None else register


class Story:
    """A case and what is said to it. Before each event everything that is due fires, as in the engine."""

    def __init__(
        self,
        rules: Policy | None = None,
        *,
        home: str = "WY01",
        number: int = 1,
        beside: Beside | None = None,
        id: str = "",
    ) -> None:
        self.rules = rules or weiyang()
        self.register = self.rules
        self.case = Case(id=id or subject(home, number))
        self.beside = beside or Beside()
        self.beside.stories[self.case.id] = self
        self.now = at("03-02 09:00")  # a Monday
        self.sent = 0
        self.steps: list[Any] = []
        self.facts: list[Fact] = []  # of the last event and the firings before it
        self.last = Result(self.case, [], [])

    def say(
        self,
        kind: str,
        actor: str,
        when: int | None = None,
        *,
        occurred: int | None = None,
        id: str = "",
        nearby: tuple[Case, ...] = (),
        **data: Any,
    ) -> Result:
        """Say something at an instant (a minute after the last one), perhaps of an earlier one."""
        self.now = when if when is not None else self.now + 60_000
        self.sent += 1
        said = event(
            kind, actor, self.now if occurred is None else occurred, case=self.case.id, id=id or f"e{self.sent}", **data
        )
        self.facts = []
        self.until(self.now)
        before, copy = self.case, encode(self.case)
        result = take(before, arrived(said, self.now), self.rules, self.register, nearby, others=self.beside)
        assert encode(before) == copy, "a decision changed the case that it was given"
        return self._follow(result)

    def hear(self, trigger: str, data: EventData, bears: str = "", sender: str = "") -> Result:
        """Hear something from another case at the instant of the last thing said."""
        cause = facts.Cause(type=SENT, source=sender or subject(number=99), id="7.1", occurred=self.now)
        sent = Sent(Send(self.case.id, trigger, data, bears), cause, self.now, self.now)
        return self._follow(hear(self.case, sent, self.register, self.beside))

    def done(self, kind: str, actor: str, when: int | None = None, **rest: Any) -> Result:
        """Say something that must be taken."""
        result = self.say(kind, actor, when, **rest)
        assert result.outcomes[0].outcome == "done", result.outcomes[0].refusal
        return result

    def parked(self, kind: str, actor: str, when: int | None = None, **rest: Any) -> Result:
        """Say something that must wait."""
        result = self.say(kind, actor, when, **rest)
        assert result.outcomes[0].outcome == "parked", result.outcomes[0]
        return result

    def refused(self, why: Reason, kind: str, actor: str, when: int | None = None, **rest: Any) -> Refusal:
        """Say something that must be refused for this reason, and leave the case as it was."""
        self.until(self.now + 60_000 if when is None else when)
        before = encode(self.case)
        result = self.say(kind, actor, when, **rest)
        refusal = result.outcomes[0].refusal
        assert refusal is not None, f"{kind} was taken"
        assert refusal.reason is why, refusal
        assert encode(self.case) == before and not result.steps
        return refusal

    def until(self, instant: int) -> list[Fact]:
        """Fire everything that is due before an instant, released by a record of that instant."""
        found: list[Fact] = []
        self.facts = []
        while self.case.next_at is not None and self.case.next_at < instant:
            self._follow(fire(self.case, instant, self.rules, self.register, self.beside))
            found += self.facts
            self.facts = []
        self.facts = found
        return found

    def succeeded(self, due: int, register: Policy) -> Result:
        """Let the successor of a grid that ended at an instant go on with it, under a register from there on."""
        self.register = register
        return self._follow(succeed(self.case, due, due + 1, self.rules, register))

    def _follow(self, result: Result) -> Result:
        """Take the outcome over, after folding its facts, and let the others hear theirs."""
        for step in result.steps:
            if step.case.id not in self.beside.stories:
                Story(self.rules, id=step.case.id, beside=self.beside)
            self.beside.stories[step.case.id]._fold(step, heard=step.case.id != self.case.id)
        assert encode(self.case) == encode(result.case), "the case is not the fold of its facts"
        self.last = result
        return result

    def _fold(self, step: DecidedStep, *, heard: bool) -> None:
        """The facts of a step; of what was heard from another case they are the only ones that count as the last."""
        case = self.case
        for fact in step.facts:
            case = evolve(case, fact)
        case.seq += 1
        assert facts.decode_facts(facts.encode_facts(step.facts)) == step.facts
        assert encode(case) == encode(step.case), "the case is not the fold of its facts"
        self.case = case
        self.steps.append(step)
        self.facts = [*step.facts] if heard else [*self.facts, *step.facts]

    def of(self, kind: type[Fact]) -> list[Any]:
        """The facts of one kind that the last call told."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def one(self, kind: type[Fact]) -> Any:
        """The only fact of one kind that the last call told."""
        found = self.of(kind)
        assert len(found) == 1, found
        return found[0]

    def history(self, kind: type[Fact]) -> list[Any]:
        """All facts of one kind, from the first step on."""
        return [fact for step in self.steps for fact in step.facts if isinstance(fact, kind)]

    # ---- ways through the machine -------------------------------------------------------------------------

    def another(self, number: int) -> Story:
        """Another case beside it, told by the hotline at the same instant."""
        other = Story(self.rules, number=number, beside=self.beside)
        other.now = self.now
        return other.reported()

    def found(self, category: str = DUST, when: int | None = None, **data: Any) -> Story:
        """Found on patrol by the member of the leaf grid."""
        self.done(
            "report.submitted",
            MEMBER,
            when or self.now,
            category=category,
            source="patrol",
            grid=LEAF,
            **data,
        )
        return self

    def reported(self, category: str = BARE, when: int | None = None, **data: Any) -> Story:
        """Told by the hotline: reported at once to whoever has authority."""
        self.done(
            "report.submitted",
            HOTLINE,
            when or self.now,
            category=category,
            source="hotline",
            grid=LEAF,
            **data,
        )
        return self

    def accepted(self, by: str = STREET) -> Story:
        """Accepted by its owner."""
        self.done("incident.accepted", by)
        return self

    def handled(self, by: str = STREET) -> Story:
        """Handled by its owner."""
        self.done("handling.completed", by)
        return self
