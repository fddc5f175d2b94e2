"""What one slice has read: its records, decoded, and the cases, seen events and due instants that they touch.

A slice does not ask the database again after each decision, so this memory follows what is decided. Only `SliceWrites`
changes cases and seen events here, when it enters their rows (`keep`, `seen`). `PartitionRun` looks things up, and lets
`DueCases` fetch cases and hand them out.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec
from msgspec import Struct

from engine import failpoints
from engine.policies import Policies
from engine.slice import archiving
from engine.slice.types import SKIP, UNDECIDABLE, Batch, keys_of
from engine.store import archives, sends, slices, standing
from engine.store.database import Connection
from engine.store.rows import InboxRow, ParkedRow, PartitionRow, SeenKey, SeenRow
from schemas.envelope import Record, decode_data, decode_record
from schemas.members import EventData
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import case as cases
from workflows.case import AWAITED, Case, Waiting
from workflows.definitions import BEGINNING, DEFINITIONS, born_by, comes_up
from workflows.parking import Room
from workflows.policy.index import Policy
from workflows.turn import Sent, decode_sent


class DecodedRecord(Struct):
    """A record, decoded before anything is decided. One that cannot be decoded has a refusal instead.

    `sent`: what a case of another home says. `keys`: those under which the event may be known, each slice asks for them
    several times.
    """

    row: InboxRow
    body: Record | None = None
    data: EventData | None = None
    refusal: Refusal | None = None
    failure: Exception | None = None  # of our own code: its case stands
    sent: Sent | None = None
    keys: tuple[SeenKey, SeenKey] | None = None


def decode_row(row: InboxRow) -> DecodedRecord:
    """A record's body and its event's data, or what a case of another home says; other kinds have nothing of it."""
    if row.kind == "sent":
        try:
            return DecodedRecord(row, sent=decode_sent(row.body))
        except (msgspec.DecodeError, LookupError, ValueError):
            return DecodedRecord(row, refusal=Refusal(Reason.UNDECODABLE, "", "no send: only an owner writes it"))
    if row.kind != "event":
        return DecodedRecord(row)
    try:
        body = decode_record(row.body)
    except (msgspec.DecodeError, ValueError):
        return DecodedRecord(row, refusal=Refusal(Reason.UNDECODABLE, "", "no event: only a door writes to the log"))
    keys = keys_of(row.partition, body.event)
    try:
        data = decode_data(body.event) if body.event.type else None
    except Exception as error:
        return DecodedRecord(row, body, failure=error, keys=keys)
    if isinstance(data, Refusal):
        return DecodedRecord(row, body, refusal=data, keys=keys)
    return DecodedRecord(row, body, data, keys=keys)


class SliceReads:
    """The memory of one slice. `settlements`: verdicts by (partition, position), several separated by spaces."""

    def __init__(
        self, connection: Connection, policies: Policies, settlements: dict[tuple[int, int], str], due_limit: int
    ) -> None:
        self.connection = connection
        self.policies = policies
        self.settlements = settlements
        self.unstorable = {word for verdict in settlements.values() for word in verdict.split()}
        self.due_limit = due_limit  # due cases that are fetched of a partition at most
        self.records: dict[int, list[DecodedRecord]] = {}
        self.due: dict[int, DueCases] = {}
        self.cases: dict[str, Case] = {}
        self.broken: dict[str, Exception] = {}  # cases whose body cannot be read, and why
        self.standing: set[str] = set()  # of the cases that the records name, and those that begin to stand
        self.due_at: dict[str, int | None] = {}  # when each case in memory comes up
        self.beside: dict[
            str, int
        ] = {}  # when cases come up that their pack lets come up, beside what they say themselves
        self.open_under: dict[str, dict[str, None]] = {}  # correlation key within a home -> open cases
        self.seen: dict[SeenKey, SeenRow] = {}
        self._unborn: dict[str, int] = {}  # by home: unborn cases that hold events, more than when the slice began
        self._unborn_before: dict[str, int] = {}  # by home: those of then
        self.heard: set[sends.HeardKey] = set()  # of what the records of this slice say
        self._fetched: set[str] = set()  # cases that were asked for, whether there are any such or not
        self.archiving = False  # something is archived in one of the partitions
        self.left: set[str] = set()  # of the cases that were asked for: archived ones whose rows have left
        self._last_arrivals: dict[str, int] = {}  # of the last step, of cases that took one in this slice
        self.left_out = ""  # the first send that was left out, where sends are tried out
        self.parked: dict[tuple[str, str], ParkedRow] = {}  # by case and principal: where another number waits now
        self._own = Counter[tuple[str, str]]()  # by home and principal: waiting events, more than when the slice began
        self._own_before: dict[tuple[str, str], int] = {}  # by home and principal: those of then

    def read(self, batches: Sequence[Batch]) -> None:
        """Decode all records, lock their partitions, and fetch what they touch, each table once: cases with their
        neighbours, seen events. StaleWriter if another writer has moved a partition on."""
        ids, keys, released, nearby = set[str](), set[SeenKey](), set[str](), set[str]()
        said = set[sends.HeardKey]()
        for batch in batches:
            partition = batch.row.partition
            self.due[partition] = DueCases(self.due_at)
            records = self.records[partition] = [decode_row(row) for row in batch.records]
            register = self.active_policy(batch.row)
            placed = not batch.ticking or len(records) == 1  # in a replay the place of later records is not known yet
            for record in records:
                if record.row.kind == "release":
                    released.add(record.row.body)
                if record.sent is not None:
                    said.add(heard_key(record.sent))
                elif record.body is None:
                    continue
                if placed and self.settlements:  # of a record that is passed over the case may be what cannot be read
                    verdict = self.verdict(partition, batch.row.position if batch.ticking else record.row.position)
                    if SKIP in verdict or UNDECIDABLE in verdict:
                        continue
                if record.sent is not None:
                    ids.add(record.sent.send.to)
                    nearby |= self.keys_nearby(record, register)
                    continue
                assert record.body is not None
                event = record.body.event
                ids.add(event.subject)
                keys.update(record.keys or ())
                acts_on = record.data.acts_on if record.data is not None else ""
                if acts_on and home_of(acts_on) == home_of(event.subject):
                    ids.add(acts_on)
                nearby |= self.keys_nearby(record, register)
        locked = [batch.row for batch in batches]
        found, known = slices.lock_and_read(self.connection, locked, ids, nearby, sorted(keys))
        self.load(found)
        self.seen = {row.key: row for row in known}
        if said:
            self.heard = sends.find_heard(self.connection, said)
        failpoints.hit("slice.after_lock")
        if (ids or released) and any(batch.row.standing for batch in batches):
            self.standing = standing.find(self.connection, ids | released)
        self.archiving = any(batch.row.archives for batch in batches)
        self._fetched |= ids
        self.find_left(ids)

    def read_seen(self, keys: AbstractSet[SeenKey]) -> None:
        """Fetch what is known of events."""
        if keys:
            self.seen = {row.key: row for row in slices.read_seen(self.connection, sorted(keys))}

    def read_neighbours(self, records: Iterable[DecodedRecord], register: Policy | None) -> None:
        """Fetch the open cases under the reports' keys."""
        if nearby := set[str]().union(*(self.keys_nearby(record, register) for record in records)):
            self.load(slices.read_nearby(self.connection, nearby))

    def keys_nearby(self, record: DecodedRecord, register: Policy | None) -> set[str]:
        """The keys of a report. One whose keys cannot be told has a failure then."""
        if register is not None:
            try:
                return {*keys_of_record(record, register)}
            except Exception as error:
                record.failure = error
        return set()

    def look_up(self, ids: Collection[str]) -> None:
        """Take the cases of these ids into memory, and which of them have left. They are asked for in this order: one
        that leaves in between is seen to have left."""
        self.load(slices.read_cases(self.connection, ids))
        self.find_left(ids)

    def find_left(self, ids: Collection[str]) -> None:
        """Which of these cases, that were asked for, have left."""
        if self.archiving and (missing := {*ids} - self.cases.keys() - self.broken.keys()):
            self.left |= archives.find_left(self.connection, missing)

    def load(self, rows: Iterable[tuple[str, int | None, str]]) -> None:
        """Take cases into memory, unless they are there already: (id, next_at, body)."""
        for id_, next_at, body in rows:
            if id_ in self.cases:
                continue
            self.due_at[id_] = next_at
            try:
                case = self.cases[id_] = cases.decode(body)
            except Exception as error:
                self.broken[id_] = error
                continue
            if next_at is not None and next_at != comes_up(case):
                self.beside[id_] = next_at
            if case.key and case.closed is None:
                self.open_under.setdefault(scoped(case.key, id_), {})[id_] = None

    def keep(self, case: Case, partition: int, arrival: int, due: int | None) -> None:
        """Take in a case as it stands after a step of an arrival, and when it comes up."""
        self._last_arrivals[case.id] = arrival
        home, before = home_of(case.id), self.cases.get(case.id)
        self._unborn[home] = self._unborn.get(home, 0) + is_unborn(case) - (before is not None and is_unborn(before))
        waited = before.parked if before is not None else ()
        if case.parked is not waited:
            self.count_parked(case, waited, partition)
        self.cases[case.id] = case
        self.let_come_up(case.id, partition, due)
        if case.key:
            neighbours = self.open_under.setdefault(scoped(case.key, case.id), {})
            neighbours.pop(case.id, None)
            if case.closed is None:
                neighbours[case.id] = None

    def let_come_up(self, id_: str, partition: int, due: int | None) -> None:
        """A case comes up at an instant; None: not at all."""
        self.due_at[id_] = due
        if due is not None:
            self.due[partition].arm(id_, due)

    def case(self, id_: str) -> Case | None:
        """A case in memory, None if there is none. If its body cannot be read, the error is raised."""
        if id_ in self.broken:
            raise self.broken[id_]
        return self.cases.get(id_)

    def count_parked(self, case: Case, waited: Iterable[Waiting], partition: int) -> None:
        """Take in that other events wait with a case than did before."""
        home, were = home_of(case.id), Counter(waiting.principal for waiting in waited)
        are = Counter(waiting.principal for waiting in case.parked)
        for principal in {*were, *are} - {""}:
            self._own[home, principal] += are[principal] - were[principal]
            self.parked[case.id, principal] = ParkedRow(case.id, principal, home, partition, are[principal])

    def room(self, case: Case, principal: str) -> Room:
        """What waits in the home of a case, as it stands within this slice: unborn cases, if this would be another one,
        and events of a principal."""
        home, unborn, own = home_of(case.id), 0, 0
        if case.state == AWAITED and not case.parked:
            if home not in self._unborn_before:
                self._unborn_before[home] = slices.count_unborn(self.connection, home)
            unborn = self._unborn_before[home] + self._unborn.get(home, 0)
        if principal:
            key = home, principal
            if key not in self._own_before:
                self._own_before[key] = slices.count_parked(self.connection, *key)
            own = self._own_before[key] + self._own[key]
        return Room(unborn, own)

    def read_due(self, before: Mapping[int, int]) -> None:
        """Read the cases of these partitions with something due before an instant of each, up to the limit."""
        for partition, found in slices.read_due(self.connection, before, self.due_limit).items():
            self.load(found)
            self.due[partition].take(found, self.due_limit)

    def fetch(self, ids: Collection[str], *, standing_too: bool) -> None:
        """Read cases that another one of the slice names, and perhaps which of them stand, unless that is known."""
        unknown = {*ids} - self._fetched
        self._fetched |= unknown
        if unknown and standing_too:
            self.standing |= standing.find(self.connection, unknown)
        if unknown := unknown - self.cases.keys():
            self.look_up(unknown)

    def find_case(self, id_: str) -> Case | None:
        """A case that the records of this slice did not name as a subject."""
        if id_ not in self.cases and id_ not in self.left:
            self.look_up([id_])
        return self.case(id_)

    def is_there(self, id_: str) -> bool:
        """Whether a case was born, as far as can be read, or stands still."""
        case = self.cases.get(id_)
        return id_ in self.broken or id_ in self.standing or (case is not None and case.opened > 0)

    def is_archived(self, id_: str, before: int) -> bool:
        """Whether a case is archived where those are that had ended before an instant (0: none are)."""
        if not before or id_ in self.broken:
            return False
        case = self.cases.get(id_) if id_ in self._fetched else self.find_case(id_)
        if case is None:
            return id_ in self.left
        if case.closed is None or case.closed >= before:
            return False
        last = self._last_arrivals.get(id_)
        if last is None:
            last = slices.read_last_arrival(self.connection, id_)
        return archiving.is_over(case, before, last, self.find_case)

    def neighbours(self, record: DecodedRecord, register: Policy | None) -> tuple[Case, ...]:
        """The open cases under a report's keys, or those of what would bear a case, as they stand within this slice."""
        keys = [] if register is None else keys_of_record(record, register)
        return tuple(self.cases[id_] for key in keys for id_ in self.open_under.get(key, ()))

    def names_nearby(self, record: DecodedRecord, register: Policy | None) -> str:
        """The neighbours of a report that waits, as a JSON list of ids; empty where they cannot be told."""
        if (record.data is None and record.sent is None) or register is None:
            return ""
        try:
            nearby = self.neighbours(record, register)
        except Exception:
            return ""  # a defect of its own: they are looked up when the report is decided
        return msgspec.json.encode([case.id for case in nearby]).decode()

    def policy(self, digest: str) -> Policy:
        """The compiled pack with this hash."""
        return self.policies.get(self.connection, digest)

    def active_policy(self, row: PartitionRow) -> Policy | None:
        """The pack that is active in a partition; None before the first activation."""
        activations: list[tuple[str, int]] = msgspec.json.decode(row.packs)
        return self.policy(activations[-1][0]) if activations else None

    def verdict(self, partition: int, position: int) -> list[str]:
        """What operators or isolation have settled about the record at a position."""
        return self.settlements.get((partition, position), "").split() if self.settlements else []


def find_seen(seen: Mapping[SeenKey, SeenRow], record: DecodedRecord) -> SeenRow | None:
    """What these rows know of an event: under its own key, or else in a row of a release that kept no home and actor.

    Such a row may be another actor's. A resend has the subject of its event, so the row speaks for its own case
    only, but to records of that release, which are answered as they were then.
    """
    body = record.body
    assert body is not None and record.keys is not None
    own, old = map(seen.get, record.keys)
    if own is None and old is not None and (not body.digests or old.case_id == body.event.subject):
        return old
    return own


class DueCases:
    """A heap of one partition's cases by (due, id): those that were fetched, and those that the slice has armed.

    An entry whose case has another due instant by now is dropped when it comes to the top. `due_at` is the one of the
    slice's memory, and not that memory itself: in a circle all of it would be left to the garbage collector.
    """

    def __init__(self, due_at: Mapping[str, int | None]) -> None:
        self.fetched = False
        self.first_armed: int | None = None  # the earliest instant that the slice's own steps have set
        self._due_at = due_at
        self._heap: list[tuple[int, str]] = []
        self._horizon: tuple[int, str] | None = None  # the last due case fetched; None: all were

    def take(self, found: Sequence[tuple[str, int, str]], limit: int) -> None:
        """Take in the cases with something due before an instant, as many as were read, of which `limit` is the
        most."""
        self.fetched = True
        for id_, _, _ in found:
            due = self._due_at[id_]
            if due is not None:
                heapq.heappush(self._heap, (due, id_))
        if len(found) == limit:
            self._horizon = (found[-1][1], found[-1][0])

    def arm(self, id_: str, due: int) -> None:
        """A step of this slice lets a case come up at an instant."""
        heapq.heappush(self._heap, (due, id_))
        if self.first_armed is None or due < self.first_armed:
            self.first_armed = due

    def next(self) -> int | None:
        """The next instant at which something is due."""
        while self._heap:
            due, id_ = self._heap[0]
            if self._due_at.get(id_) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def pop(self) -> str:
        """Take off the case that is next."""
        return heapq.heappop(self._heap)[1]

    def known(self) -> bool:
        """Whether the top of the heap really is next: no case that was not fetched comes before it."""
        return self._horizon is None or self._heap[0] <= self._horizon

    def beyond(self, before: int) -> bool:
        """Whether a case that was not fetched may be due before an instant."""
        return self._horizon is not None and self._horizon[0] < before


def heard_key(sent: Sent) -> sends.HeardKey:
    """By what a case remembers that it has heard something: once as it was said, and once for each letter replayed."""
    return sent.send.to, sent.cause.source, f"{sent.cause.id} {sent.letter}".rstrip()


def is_unborn(case: Case) -> bool:
    """Whether a case waits for its report and holds early events; a quarantined one does not count."""
    return case.state == AWAITED and case.next_at is not None


def keys_of_record(record: DecodedRecord, register: Policy) -> list[str]:
    """The keys under which open cases of the same home may be the same as the one that an event begins, or that a case
    of another home bears."""
    if record.sent is not None:
        send = record.sent.send
        births = DEFINITIONS[send.bears].births if send.bears else {}
        keys = births[send.trigger].keys(send.data, None, register) if send.trigger in births else ()
        return [scoped(key, send.to) for key in keys]
    if record.body is None or type(record.data) not in BEGINNING:
        return []
    assert record.data is not None
    return keys_around(record.data, record.body.measured, record.body.event.subject, register)


def keys_around(data: EventData, measured: tuple[int, ...] | None, subject: str, register: Policy) -> list[str]:
    """The same for an event that need not be a record: what it says, where, and of which subject."""
    born = born_by(data)
    if born is None:
        return []
    definition, trigger = born
    return [scoped(key, subject) for key in definition.births[trigger].keys(data, measured, register)]


def scoped(key: str, subject: str) -> str:
    """A correlation key within the subject's home."""
    return f"{home_of(subject)}|{key}"
