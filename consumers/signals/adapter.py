"""The adapter of signals: values of devices go in, states are stored, and what is to be said with them.

1. A batch is answered once the states that it changed are stored, together with the events that follow from them. So
   whoever gets no answer sends it again, and nothing is said twice or lost, wherever a process ends.
2. A device has a row under a rule once its values have meant anything. A value that is not later than the one that made
   the row is seen already; the others are known in memory alone, for those that changed nothing change nothing again.
3. Several processes may take values: a change counts only if nobody else has made one since it was read
   (`engine.store.watched.CHANGE`); else the states are read anew.
4. Whether a device is silent is asked by one process, from when it began to listen on: an outage of ours is no silence
   of theirs.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from consumers.signals.sayings import said_of, subject_in, voice_of
from engine import failpoints
from engine.policies import Policies
from engine.store import incident_queries, watched
from engine.store.database import Database
from engine.store.watched import DeviceSeenRow, SayingRow, WatchedRow
from schemas.device_values import LARGEST, DeviceValue, RefusedValue, TakenValues
from schemas.envelope import to_ms
from workflows import watching
from workflows.policy.devices import Device, SignalRule
from workflows.policy.index import Policy
from workflows.watching import Saying, Watched, decode

AHEAD_MS = 5 * 60_000
"""A value of an instant that lies further ahead is refused: all later ones would be late."""
SHOWN = 20
"""Refused values that an answer tells."""
SAYINGS = 1_000_000
"""More than one change ever says."""
Key = tuple[str, str]
"""A device, and a quantity or a rule."""


class ChangedMeanwhile(Exception):
    """Another process has changed the states meanwhile."""


class Watch(Struct, frozen=True):
    """What a device is watched for under a pack: rules by quantity, and those of its silence."""

    device: Device
    rules: dict[str, tuple[SignalRule, ...]]
    silent: tuple[SignalRule, ...]


class Changes(Struct):
    """What values or the time make of the states: new ones (None: quiet again), and what is to be said."""

    states: dict[Key, Watched | None] = field(default_factory=dict)
    sayings: list[bytes] = field(default_factory=list)
    late: int = 0
    last: dict[Key, int] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    refused: int = 0
    shown: list[RefusedValue] = field(default_factory=list)

    def refuse(self, index: int, member: str, detail: str) -> None:
        """A value is not taken."""
        self.refused += 1
        if len(self.shown) < SHOWN:
            self.shown.append(RefusedValue(index, member, detail))


class Adapter:
    """Takes values, in any thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.policies = Policies()
        self.lock = threading.Lock()
        self.news = threading.Event()  # something is to be said
        self.states = dict[Key, Watched]()
        self.change = -1
        self.last = dict[Key, int]()  # instants of the last values
        self.heard = dict[str, int]()  # by device: arrivals of the last values, not stored yet
        self.pack, self.watches = "", dict[str, Watch]()
        with database.begin() as connection:
            watched.begin_changes(connection)

    # ---- values -------------------------------------------------------------------------------------------

    def take(self, values: Sequence[DeviceValue], may_speak: Callable[[str], bool], now: int) -> TakenValues:
        """Take a batch of values that arrived at an instant (ms UTC), of devices for whose posts its sender may speak.
        What is not taken is told; the rest is."""

        def judge(register: Policy) -> Changes:
            return self.judge(values, may_speak, now, register)

        with self.lock:
            made = self.carry_out(judge)
            self.last |= made.last
            self.heard |= dict.fromkeys(made.heard, now)
        return TakenValues(len(values) - made.late - made.refused, made.late, made.refused, made.shown)

    def judge(
        self, values: Sequence[DeviceValue], may_speak: Callable[[str], bool], now: int, register: Policy
    ) -> Changes:
        """What a batch makes of the states."""
        made, oldest, day = Changes(), now - register.options.offline_ms, register.clock_of_days.local_day(now)
        allowed = dict[str, bool]()
        for index, each in enumerate(values):
            watch, at, value = self.watches.get(each.device), to_ms(each.at), each.value
            if watch is None or not stands(watch.device, day):
                made.refuse(index, "device", "the active pack has no such device")
                continue
            post = watch.device.post
            if post not in allowed:
                allowed[post] = may_speak(post)
            if not allowed[post]:
                made.refuse(index, "device", "its sender may not speak for the post of this device")
            elif not oldest <= at <= now + AHEAD_MS:
                made.refuse(index, "at", "lies ahead of the server's clock, or so far back that nobody believes it")
            elif not value.is_finite() or abs(value) >= LARGEST:
                made.refuse(index, "value", "must be a number of at most 15 digits before the point")
            else:
                self.follow(watch, each.quantity, at, value, made, register)
        return made

    def follow(self, watch: Watch, quantity: str, at: int, value: Decimal, made: Changes, register: Policy) -> None:
        """What one value makes of the states of its device."""
        device, key = watch.device.code, (watch.device.code, quantity)
        if at <= made.last.get(key, self.last.get(key, -1)):
            made.late += 1
            return
        made.last[key] = at
        made.heard.add(device)
        for rule in watch.silent:
            state = self.state((device, rule.code), made)
            if state is not None and state.phase == "silent":
                again = watching.speak_again(state, at)
                self.enter(made, (device, rule.code), watching.quiet(at), [again], state, register)
        for rule in watch.rules.get(quantity, ()):
            before = self.state((device, rule.code), made)
            after, said = watching.follow(rule, before, at, value)
            if after is not before:
                known = before
                if after is not None and said and said[0].what == "began":
                    subject = subject_in(register, device, rule.code, after.since)
                    known = after = replace(after, subject=subject, post=watch.device.post)
                self.enter(made, (device, rule.code), after, said, known, register)

    def state(self, key: Key, made: Changes) -> Watched | None:
        """How far a device is under a rule, with the changes of this batch."""
        return made.states[key] if key in made.states else self.states.get(key)

    def enter(
        self,
        made: Changes,
        key: Key,
        after: Watched | None,
        said: Sequence[Saying],
        known: Watched | None,
        register: Policy,
    ) -> None:
        """Add a change. `known` has the subject and the post of what is said."""
        made.states[key] = after
        if said and known is not None and (voice := voice_of(register, known.post)):
            made.sayings += [said_of(each, *key, known, voice) for each in said]

    # ---- time ---------------------------------------------------------------------------------------------

    def tick(self, since: int, now: int) -> None:
        """Store when devices were heard, end what the pack has no more, and find who is silent. `since`: from when on
        somebody listens (ms UTC)."""
        with self.lock:
            self.keep_seen()
            with self.database.read() as connection:
                heard = watched.read_seen(connection)
            self.carry_out(partial(self.judge_time, heard, since, now))
            if gone := heard.keys() - self.watches.keys():
                with self.database.begin() as connection:
                    watched.remove_seen(connection, gone)

    def keep_seen(self) -> None:
        """Store when devices were heard."""
        if self.heard:
            with self.database.begin() as connection:
                watched.write_seen(connection, [DeviceSeenRow(*each) for each in sorted(self.heard.items())])
            self.heard = {}

    def judge_time(self, heard: dict[str, int], since: int, now: int, register: Policy) -> Changes:
        """What the time makes of the states."""
        made, day = Changes(), register.clock_of_days.local_day(now)
        for (device, code), state in self.states.items():
            watch, rule = self.watches.get(device), register.signals.get(code)
            gone = watch is None or not stands(watch.device, day) or rule is None
            if gone or (rule is not None and watch is not None and rule.type not in ("", watch.device.type)):
                self.enter(made, (device, code), None, list(watching.retire(state, now)), state, register)
        for device, watch in self.watches.items():
            for rule in watch.silent if stands(watch.device, day) else ():
                key, known = (device, rule.code), self.states.get((device, rule.code))
                found = watching.fall_silent(rule, max(heard.get(device, 0), since), now)
                if found is not None and (known is None or known.phase == "quiet"):
                    subject = subject_in(register, device, rule.code, found[0].since)
                    silent = replace(found[0], subject=subject, post=watch.device.post)
                    self.enter(made, key, silent, [found[1]], silent, register)
        return made

    # ---- what is stored -----------------------------------------------------------------------------------

    def carry_out(self, judge: Callable[[Policy], Changes]) -> Changes:
        """Judge by the states as they stand, and store what changed; again, if another process was faster."""
        while True:
            register = self.load()
            if register is None:
                return Changes()
            made = judge(register)
            if not made.states:
                return made
            try:
                self.store(made)
            except ChangedMeanwhile:
                continue
            if made.sayings:
                self.news.set()
            return made

    def load(self) -> Policy | None:
        """The active pack, with the states as they stand; None: none is active yet."""
        with self.database.read() as connection:
            change, active = watched.read_change(connection), incident_queries.read_active(connection)
            if active is None:
                return None
            register = self.policies.get(connection, active)
            if change != self.change:
                rows = watched.read_watched(connection)
                self.states = {(row.device, row.rule): decode(row.body) for row in rows}
                self.change = change
        if self.pack != active:
            self.pack, self.watches = active, watches_of(register)
        return register

    def store(self, made: Changes) -> None:
        """Store a change. ChangedMeanwhile, if another process has made one."""
        rows = [
            WatchedRow(*key, state.phase, msgspec.json.encode(state).decode())
            for key, state in sorted(made.states.items())
            if state is not None
        ]
        quiet = [key for key, state in made.states.items() if state is None and key in self.states]
        change = self.change + 1
        sayings = [SayingRow(change * SAYINGS + k, raw.decode()) for k, raw in enumerate(made.sayings)]
        with self.database.begin() as connection:
            if watched.read_change(connection, lock=True) != self.change:
                raise ChangedMeanwhile
            watched.write_change(connection, change, rows, quiet, sayings)
        failpoints.hit("signals.stored")
        self.change = change
        self.states |= {key: state for key, state in made.states.items() if state is not None}
        for key in quiet:
            del self.states[key]


def stands(device: Device, day: int) -> bool:
    """Whether a device is watched on a local day."""
    return device.valid_from <= day and (not device.valid_to or day <= device.valid_to)


def watches_of(register: Policy) -> dict[str, Watch]:
    """What each device of a pack is watched for."""
    of_type = {kind: list(rules_for(register, kind)) for kind in register.device_types}
    found = dict[str, Watch]()
    for device in register.pack.devices:
        rules = of_type.get(device.type, [])
        by_quantity = {
            name: tuple(rule for rule in rules if rule.quantity == name and rule.test != "silent")
            for name in {rule.quantity for rule in rules if rule.test != "silent"}
        }
        found[device.code] = Watch(device, by_quantity, tuple(rule for rule in rules if rule.test == "silent"))
    return found


def rules_for(register: Policy, kind: str) -> Iterator[SignalRule]:
    """The rules for a type of device."""
    return (rule for rule in register.pack.signals if rule.type in ("", kind))
