"""A rehearsal of the rules: every trigger of every state and every clock's firing, tried once under a pack.

It walks from the birth of a case of each kind, by what posts of the pack and other cases may say, until it has seen
every state that can be reached so; in each it says everything that the contract has, and lets fire whatever is due.
The data are made from the contract's types. Whether something is refused does not matter: what counts is that no rule
raises an error.
Pure: the same pack gives the same rehearsal.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct, inspect, structs

from schemas import facts
from schemas.derived_ids import docket_subject, home_subject, part_subject
from schemas.envelope import Envelope, Record, encode_record
from schemas.events import EVENT_TYPES, canonical, trigger_of
from schemas.kinds import SENDS
from schemas.kinds.docket import BANNED, DOCKET, ENTERED, OPENED, Banned, Entered, Opened
from schemas.members import EventData
from workflows import decide, homes, saying, sla, succession
from workflows.case import AWAITED, Case
from workflows.clocks.limits import LimitError
from workflows.clocks.timescales import CalendarError
from workflows.decision import Decision, Send
from workflows.definitions import DEFINITIONS
from workflows.definitions.docket import AT_ONCE
from workflows.permissions import forbid
from workflows.policy.index import Policy
from workflows.policy.model import Grid, Post
from workflows.responsibility import list_hash, signers
from workflows.turn import SENT, Others, Result, Sent

DAY_MS = 86_400_000
MINUTE_MS = 60_000
FIRINGS = 12
"""How many firings of a case are tried in one state: the ladders of its clocks, without all of their repeats."""
PACKS = (CalendarError, LimitError)
"""What a pack is to blame for: the engine tells it from a defect."""


class Rehearsed(Struct):
    """What was tried, by definition: its states, (trigger, state), and clocks that fired."""

    states: set[tuple[str, str]]
    triggers: set[tuple[str, str, str]]
    clocks: set[tuple[str, str]]


def rehearse(policy: Policy, at: int) -> Rehearsed:
    """Try everything under a pack, about an instant (ms). Whatever a rule raises comes out.

    Where the calendars of the pack do not reach that instant, one that they reach is taken.
    """
    done = Rehearsed(set(), set(), set())
    at = max([at, *(calendar.day_start(calendar.data.first_day) for calendar in policy.calendars.values())]) + DAY_MS
    cut = cut_anew(policy, at)
    first: Case | None = None  # a kind may begin about a case of another one alone
    for name in DEFINITIONS:
        walk = Walk(policy, name, at, done, cut, first)
        walk.walk(at)
        first = first or walk.beside.born
    rehearse_home(policy, at, done)
    rehearse_docket(policy, at, done)
    return done


def rehearse_docket(policy: Policy, at: int, done: Rehearsed) -> None:
    """Let a docket hear of more approvals than it tells at once, and of a ban that concerns them all."""
    samples, id_ = Samples(policy, DOCKET.name, at), docket_subject(policy.root)
    case, said = Case(id=id_), [Send(id_, OPENED, Opened(), DOCKET.name)]
    for number in range(AT_ONCE + 1):
        said.append(Send(id_, ENTERED, Entered(approval=samples.subject(number), grid=policy.root)))
    said.append(Send(id_, BANNED, Banned(grid=policy.root, by=samples.subject(0))))
    for number, send in enumerate(said, 1):
        cause = facts.Cause(type=SENT, source=samples.subject(0), id=f"1.{number}", occurred=at)
        case = decide.hear(case, Sent(send, cause, at, at), policy, decide.ALONE).case
    if case.next_at is not None:
        done.triggers.add((DOCKET.name, DEFINITIONS[DOCKET.name].wakes, case.state))
        decide.fire(case, case.next_at + 1, policy, policy, decide.ALONE)


def rehearse_home(policy: Policy, at: int, done: Rehearsed) -> None:
    """Let a home, one in which something is owed if there is any, be entered, bear what is owed, end it with the last
    day of its posts, and follow an activation that knows none of them."""
    home = min(homes.owed_by_home(policy), default=policy.root)
    case, found = Case(id=home_subject(home)), dict[str, Case]()
    last_day = policy.clock_of_days.local_day(at + 2 * DAY_MS)
    packs = [policy, of_home(policy, home, last_day), of_home(policy, home, None)]
    activations = [(str(number), at + number * 2 * DAY_MS) for number in range(len(packs))]
    for number, (_, arrival) in enumerate(activations, 1):
        course = homes.Course(activations[:number], [], lambda name: packs[int(name)])
        try:
            decide.quarantine_home(case, arrival - 1, course)
            case = decide.fire_home(case, arrival - 1, course, OtherCases(found)).case
            done.states.add((case.definition, case.state))
            for _ in range(FIRINGS):
                if case.next_at is not None and case.next_at < arrival + 2 * DAY_MS - 1:
                    result = decide.fire_home(case, case.next_at, course, OtherCases(found))
                    case = result.case
                    found |= {step.case.id: step.case for step in result.steps if step.case.id != case.id}
        except PACKS:
            return


def of_home(policy: Policy, home: str, last_day: int | None) -> Policy:
    """What a pack has of a home, with posts whose last local day is given; None: without posts."""
    near = policy.path(home)
    grids = tuple(grid for grid in policy.pack.grids if grid.code in near or policy.home(grid.code) == home)
    codes = {grid.code for grid in grids}
    posts = tuple(post for post in policy.pack.posts if post.grid in codes) if last_day is not None else ()
    posts = tuple(structs.replace(post, valid_to=last_day or 0) for post in posts)
    return Policy(structs.replace(policy.pack, grids=grids, posts=posts), f"{home} until {last_day}")


def cut_anew(policy: Policy, at: int) -> Policy:
    """What a pack has of the place of the rehearsed cases, whose grid has ended before an instant: another one beside
    it goes on."""
    leaf = leaf_of(policy, at)
    other = structs.replace(leaf, code=f"{leaf.code}-successor", valid_from=0, valid_to=0, successor="")
    over = structs.replace(leaf, valid_to=policy.clock_of_days.local_day(at - DAY_MS), successor=other.code)
    near = tuple(grid for grid in policy.pack.grids if grid.code in policy.path(leaf.code)[:-1])
    posts = tuple(post for post in policy.pack.posts if post.grid in policy.path(leaf.code))
    pack = structs.replace(policy.pack, grids=(*near, over, other), posts=posts)
    return Policy(pack, f"{leaf.code} is cut anew")


def leaf_of(policy: Policy, at: int) -> Grid:
    """The grid in which the rehearsed cases lie: one of the deepest that stand."""
    return min((g for g in policy.pack.grids if policy.stands(g, at)), key=lambda g: (-g.level, g.code))


class OtherCases(Others):
    """The other cases of a rehearsal: any that is asked for is as far as the first one that was born and is open."""

    def __init__(self, found: Mapping[str, Case], earlier: Case | None = None) -> None:
        self.found = found
        self.earlier = earlier  # before the first birth: one of another kind

    @property
    def born(self) -> Case | None:
        """The first one that was born and is open."""
        return next((case for case in self.found.values() if case.opened and case.closed is None), None)

    def find(self, id_: str) -> Case | None:
        """Such a case under another id; None before the first birth."""
        born = self.born or self.earlier
        return None if born is None else structs.replace(born, id=id_)


class Walk:
    """The way through the states of one definition. One case stands for all of a state."""

    def __init__(
        self, policy: Policy, name: str, at: int, done: Rehearsed, cut: Policy, earlier: Case | None = None
    ) -> None:
        self.policy = policy
        self.cut = cut
        self.definition = DEFINITIONS[name]
        self.done = done
        self.samples = Samples(policy, name, at)
        self.found: dict[str, Case] = {}
        self.beside = OtherCases(self.found, earlier)
        self.fired: set[tuple[str, ...]] = set()  # states with the clocks that ran in them

    def walk(self, at: int) -> None:
        """Visit every state once, those that nothing leads to as well."""
        self.visit(Case(id=self.samples.first_subject()), at)
        born = self.beside.born
        for state in self.definition.states.values():
            if state.name not in self.found and born is not None:
                # Cases of an earlier pack may be there, so it is entered as if there had been a way.
                d = Decision(born, self.policy, self.policy, at, at)
                d.tell(facts.Moved(trigger="", was=d.case.state, state=state.name, judged=at))
                sla.arrange(d, state)
                self.visit(d.case, at)

    def visit(self, case: Case, at: int) -> None:
        """Say everything in this case's state, let fire what is due, and go on to the states that come of it."""
        if case.state in self.found:
            return
        self.found[case.state] = case
        self.done.states.add((self.definition.name, case.state))
        self.fire(case, at)
        others = [*self.say_all(case, at), *self.hear_all(case, at, dict.fromkeys(self.definition.sends))]
        self.try_effects(case, at)
        for after in others:
            self.fire(after, at)  # an order starts clocks that no state has
            self.visit(after, at + MINUTE_MS)

    def say_all(self, case: Case, at: int) -> Iterator[Case]:
        """Say everything that the contract has; the cases that come of it."""
        takes = {self.definition.event_of(trigger) for trigger in self.definition.triggers(case.state)}
        for kind, samples in self.samples.events.items():
            # What the state does not take is refused or parked, whatever it says.
            trigger = canonical(trigger_of(kind))
            wanted = samples if trigger in takes else samples[:1]
            self.done.triggers.add((self.definition.name, trigger, case.state))
            for post in self.speakers(case, kind):
                for data, raw in wanted:
                    result = self.say(case, kind, data, raw, post, at)
                    if result.outcomes[0].outcome == "done":
                        if result.case.definition == self.definition.name:
                            yield result.case
                    elif result.case.parked and case.state == AWAITED:
                        self.fire(result.case, at)  # waits in vain
                        bearing = dict.fromkeys(self.definition.births.keys() & self.definition.sends, 1)
                        list(self.hear_all(result.case, at, bearing))  # is released, where another case bears it
                        said = self.definition.births.keys() - self.definition.sends
                        for born in (f"gridpatrol.{trigger}.v1" for trigger in sorted(said)):
                            post = self.speakers(case, born)[0]
                            self.say(result.case, born, *self.samples.events[born][0], post, at)  # is released

    def hear_all(self, case: Case, at: int, triggers: Mapping[str, int | None]) -> Iterator[Case]:
        """Hear what other cases say by these triggers, of each in so many ways at most; the cases that come of it."""
        for trigger in sorted(triggers):
            self.done.triggers.add((self.definition.name, trigger, case.state))
            bears = self.definition.name if trigger in self.definition.births and not case.opened else ""
            for data in self.samples.sends[trigger][: triggers[trigger]]:
                cause = facts.Cause(type=SENT, source=self.samples.subject(1), id="1.1", occurred=at)
                sent = Sent(Send(case.id, trigger, data, bears), cause, at, at)
                yield decide.hear(case, sent, self.policy, self.beside).case

    def say(self, case: Case, kind: str, data: EventData, raw: msgspec.Raw, post: Post, at: int) -> Result:
        """Say one thing."""
        event = Envelope(
            specversion="1.0",
            id=kind,
            source="rehearsal",
            type=kind,
            subject=case.id,
            time=self.samples.now,
            actor=post.code,
            data=raw,
        )
        seed = "00" * 32 if data.asks_for_bytes else ""
        record = Record(
            event=event, digest="", digests=("",), measured=data.measured, seed=seed
        )  # as this release does
        incoming = decide.IncomingEvent(record, data, at, encode_record(record))
        return decide.take(case, incoming, self.policy, self.policy, (case,), others=self.beside)

    def speakers(self, case: Case, kind: str) -> list[Post]:
        """The deepest and the highest post that may say something of a case; any post if none may.

        A case has no place before its birth: there it is asked for the role alone, and of the list of a body for who
        signs it.
        """
        trigger, posts = trigger_of(kind), self.samples.posts
        signed = "body" in EVENT_TYPES[kind].__struct_fields__

        def may(post: Post) -> bool:
            if not case.opened:
                signs = not signed or post.code in self.samples.signers
                return signs and bool(self.policy.role_rows(trigger, post.role))
            return forbid(post, trigger, case, self.policy, self.policy) is None

        deepest = next(filter(may, posts), posts[0])
        highest = next(filter(may, reversed(posts)), deepest)
        return [deepest] if highest is deepest else [deepest, highest]

    def try_effects(self, case: Case, at: int) -> None:
        """Try the effects of triggers that ask for more than a role, whatever they ask for: not all can be had here."""
        post = self.samples.posts[0]
        for trigger in self.definition.admits:
            effect = self.definition.effects.get(trigger)
            if effect is None or (trigger, case.state) not in self.definition.table:
                continue
            for data, _ in self.samples.events[f"gridpatrol.{self.definition.event_of(trigger)}.v1"]:
                d = Decision(case, self.policy, self.policy, at, at, post.code, find=self.beside.find)
                with suppress(*PACKS):
                    effect(d, data, saying.speaker_of(d, post))

    def fire(self, case: Case, at: int) -> None:
        """Let fire what is due, look at it under the pack again, cut its grid anew, and stop its clocks."""
        kept = (case.state, *sorted(clock.name for clock in case.clocks), *(waiting.type for waiting in case.parked))
        if kept in self.fired:
            return
        self.fired.add(kept)
        decide.quarantine(case, at, self.policy, self.policy)
        try:
            decide.recalculate(case, at, self.policy, self.policy)
            for _ in range(FIRINGS):
                # With every alert that stands by now, it is told to a successor.
                if (due := succession.due_of(case, self.cut, at)) is not None:
                    decide.succeed(case, due, due + 1, self.policy, self.cut)
                if case.next_at is None:
                    return
                if case.own is not None and case.own.wakes == case.next_at:
                    self.done.triggers.add((self.definition.name, self.definition.wakes, case.state))
                self.done.clocks |= {(self.definition.name, c.name) for c in case.clocks if c.next == case.next_at}
                case = decide.fire(case, case.next_at + 1, self.policy, self.policy, self.beside).case
        except PACKS:
            return


@cache
def fields_of(struct: type[EventData]) -> tuple[inspect.Field, ...]:
    """The members of an event's data with their types."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info.fields


CASES = (
    "by",
    "approval",
    "into",
    "about",
    "draw",
    "visit",
    "problems",
    "cases",
    "petition",
    "petitions",
    "case",
    "incident",
    "leading",
)
"""Members that name another case."""
PARTS, PLACES = ("part", "parts", "id"), ("owners", "participants", "place")
"""Members that name parts of a case, and the grid of the place."""
WORDS: dict[str, Sequence[str]] = {
    "limit": ["1工作日", "1自然日"],
    "document": ["1"],
    "day": ["2026-03-02"],
    "period": ["2026-Q1", "2026-03"],
    "hash": ["0" * 64, "1" * 64],
    "previous": ["0" * 64],
    "digest": ["0" * 64],
    "via": ["none"],
    "state": ["1"],
    "code": ["T-1"],
    "goal": ["1"],
    "quantity": ["2"],
    "counted_in": ["1"],
    "done": ["1", "2"],
    "items": ["T-1"],
    "station": ["S-1"],
    "value": ["1", "2"],
    "worst": ["1"],
    "neighbour": ["none"],
}
"""Members for which any words will do."""


class Samples:
    """Data of events, made from their types: with what is required, with everything, and with each word of a list."""

    def __init__(self, policy: Policy, definition: str, at: int) -> None:
        pack = policy.pack
        self.policy, self.definition = policy, definition
        self.years = [target.year for target in pack.targets]
        leaf = leaf_of(policy, at).code
        path = policy.path(leaf)
        self.home = policy.root if DEFINITIONS[definition].of_approvals else policy.home(leaf)
        lead = next((d.code for d in pack.departments if d.grid in path), "none")
        near = [p for p in pack.posts if p.grid in path and not p.vacant and policy.stands(p, at)]
        near = [p for p in near if p.department in ("", lead)] or near
        owing = [p for d in pack.duties[:1] for p in near if d.owed_by(p, policy.grids[p.grid].level)]
        signing = [b for b in pack.bodies if policy.home(b.grid) == self.home and signers(policy, b)][:1]
        # A rule that wants eyes opens more of the ways.
        pairs = ((rule, each) for rule in pack.signals for each in pack.devices if rule.type in ("", each.type))
        watched = next(
            ((d.code, r.code) for r, d in sorted(pairs, key=lambda pair: (not pair[0].check, not pair[0].rest_ms))),
            None,
        )
        self.signers = {code for body in signing for code in signers(policy, body)}
        # The deepest first: who finds a problem on patrol opens more of the ways.
        near.sort(key=lambda post: -policy.grids[post.grid].level)
        self.posts = list({(post.role, post.grid): post for post in near}.values())
        self.now = datetime.fromtimestamp(at / 1000, UTC)
        self.until = at + 10 * DAY_MS
        self.gone = {
            name: (self.now - timedelta(days=days)).isoformat() for name, days in (("since", 20), ("before", 10))
        }
        self.later = (self.now + timedelta(days=10)).isoformat()
        self.words: dict[str, Sequence[str]] = {
            **WORDS,
            **dict.fromkeys(CASES, (self.subject(1),)),
            **dict.fromkeys(PARTS, (part_subject(self.home, self.subject(0), leaf, 0),)),
            **dict.fromkeys(PLACES, (leaf,)),
            "category": [c.code for _, c in sorted({(-c.level, c.dissuade): c for c in pack.categories}.items())],
            "grid": [leaf, *[target.owner for target in pack.targets if target.owner in policy.grids][:1]],
            "to_grid": [path[0], path[-1]],
            "touches": [g.code for g in pack.grids if g.level == len(path) and g.code != leaf][:1],
            "department": [lead],
            "to_department": [lead, "none"],
            "lead": [lead, "none"],
            "assisting": [lead],
            "clock": sorted({row.clock for row in pack.limits}) or ["none"],
            "unit": ["U-1", leaf],
            "site": [site.code for site in pack.sites][:1] or ["U-1"],
            "body": [body.code for body in signing] or ["none"],
            "list": [list_hash(policy, body) for body in signing] or ["0" * 64],
            "action": [action.action for action in pack.actions] or ["none"],
            "matter": [row.code for row in pack.approvals] or ["none"],
            "until": [self.later[:10]],
            "card": sorted({row.card for row in pack.scorecards}) or ["none"],
            "campaign": [campaign.code for campaign in pack.campaigns] or ["none"],
            "office": [path[0]],
            "due": [self.later[:10]],
            "target": [target.target for target in pack.targets][:1] or ["none"],
            "device": [watched[0] if watched else "none"],
            "rule": [watched[1] if watched else "none"],
            "duty": [duty.code for duty in pack.duties] or ["none"],
            "neighbours": [n.code for n in pack.neighbours if policy.home(n.grid) == self.home] or ["none"],
            "lead_grid": [path[0]],
            "post": [post.code for post in (*owing, *near)][:1] or ["none"],
        }
        self.events = {
            kind: [
                (msgspec.convert(made, struct), msgspec.Raw(msgspec.json.encode(made))) for made in self.made(struct)
            ]
            for kind, struct in EVENT_TYPES.items()
        }
        self.sends = {
            trigger: [msgspec.convert(made, struct) for made in self.made(struct)] for trigger, struct in SENDS.items()
        }

    def subject(self, number: int) -> str:
        """A case of the place."""
        return f"{self.home}.00000000-0000-7000-8000-{number:012}"

    def first_subject(self) -> str:
        """The case of the place that is rehearsed first: one that may have this id, of a kind whose ids are derived."""
        births = DEFINITIONS[self.definition].births
        said = (
            (birth, data) for name, birth in births.items() for data, _ in self.events.get(f"gridpatrol.{name}.v1", [])
        )
        return next(filter(None, (birth.subject(data, self.policy) for birth, data in said)), self.subject(0))

    def made(self, struct: type[EventData]) -> Iterator[dict[str, Any]]:
        """Members of an event's data, as JSON has them."""
        fields = fields_of(struct)
        choices = {field.name: self._values(field.encode_name, field.type) for field in fields}
        least = {field.name: choices[field.name][0] for field in fields if field.required}
        if self.definition in choices.get("definition", ()):
            choices["definition"] = [self.definition]
            least["definition"] = self.definition
        yield least
        yield {name: values[0] for name, values in choices.items() if values}
        for name, values in choices.items():
            yield from (least | {name: value} for value in values)

    def _values(self, name: str, kind: inspect.Type) -> list[Any]:
        """What a member may be, as JSON has it."""
        match kind:
            case inspect.Metadata(type=inner):
                return self._values(name, inner)
            case inspect.UnionType(types=types):
                return [value for each in types for value in self._values(name, each)]
            case inspect.LiteralType(values=values):
                return list(values)
            case inspect.EnumType(cls=cls):
                return [word.value for word in cls]
            case inspect.VarTupleType(item_type=item):
                return [self._values(name, item)[:2]]
            case inspect.StructType(fields=fields):
                return [{f.name: found[0] for f in fields if (found := self._values(f.name, f.type))}]
            case inspect.DateTimeType():
                return [self.gone.get(name, self.later)]
            case inspect.IntType(ge=ge):
                return [self.until if name == "until" else ge or 0, *(self.years[:1] if name == "year" else ())][-1:]
            case inspect.FloatType():
                return [0.0]
            case inspect.NoneType():
                return [None]
            case inspect.StrType():
                return list(self.words.get(name, ["0" * 64 if name == "sha256" else "https://example.org/1"]))
        return []
