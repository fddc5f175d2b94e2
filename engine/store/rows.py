"""Rows as they are written: one struct per table, with its columns as fields."""

from typing import NamedTuple

from msgspec import Struct


class InboxRow(Struct):
    """A record of the inbox log."""

    partition: int
    position: int
    stamp: int
    kind: str  # event, tick, pack, release, archive, sent
    principal: str
    body: str


SeenKey = tuple[int, str, str, str, str]
"""The idempotency key of an event: partition, source, id, home, actor. Releases that did not know the last two left
them empty."""


OUTCOMES_A_VERSION = 1_000_000
"""More than one transaction decides in a partition: room in the numbers of outcomes, which grow with its version."""


class SeenRow(Struct):
    """What became of an event, by its idempotency key. `digest`: its digests, with blanks between."""

    partition: int
    source: str
    id: str
    home: str
    actor: str
    digest: str
    arrival: int
    position: int
    outcome: str
    reason: str
    field: str
    detail: str
    case_id: str
    decided: int = 0  # its number among the outcomes of its partition, in the order in which they were decided
    decided_at: int = 0
    principal: str = ""

    @property
    def key(self) -> SeenKey:
        """The idempotency key."""
        return self.partition, self.source, self.id, self.home, self.actor


class CaseRow(Struct):
    """A case: its body, and the columns by which it is found."""

    id: str
    partition: int
    definition: str
    state: str
    open: bool
    level: int
    path: str
    grid: str
    department: str
    holder: str
    holder_department: str
    category: str
    grp: str
    key: str | None
    cycle: int
    seq: int
    opened_at: int
    closed_at: int | None
    next_at: int | None
    due_at: int | None
    provisional: bool
    body: str
    short_number: str
    reference: str  # the number of the sender's own record
    reporter: str = ""
    campaign: str = ""


class SharedWorkRow(Struct):
    """Of a case on which several may act: one of them, and the deadline of what it has to do."""

    case_id: str
    level: int
    grid: str
    due_at: int | None


class OpenCell(NamedTuple):
    """A cell in which open cases of a partition count; what it does not tell apart is empty."""

    partition: int
    definition: str
    what: str  # state, place, holder, late
    level: int = 0
    state: str = ""
    path: str = ""
    department: str = ""
    post: str = ""
    category: str = ""
    grp: str = ""
    late: str = ""
    hour: int = 0


class OpenCountRow(Struct):
    """A cell, and how many open cases count in it."""

    partition: int
    definition: str
    what: str
    level: int
    state: str
    path: str
    department: str
    post: str
    category: str
    grp: str
    late: str
    hour: int
    value: int


class ParkedRow(Struct):
    """How many events of a principal wait with a case; 0: none any more."""

    case_id: str
    principal: str
    home: str
    partition: int
    number: int


class StepRow(Struct):
    """A step: `cause` and `body` are canonical JSON."""

    partition: int
    n: int
    case_id: str
    seq: int
    at: int
    day: int
    policy: str
    definition: str
    path: str
    category: str
    grp: str
    department: str
    post: str
    cause: str
    body: str


class LetterRow(Struct):
    """A dead letter; its bytes lie sealed under `token`."""

    id: str
    at: int
    partition: int | None
    position: int | None
    reason: str
    field: str
    detail: str
    source: str
    event_id: str
    type: str
    case_id: str
    principal: str
    token: str


class StoredLetterRow(LetterRow):
    """A dead letter as it is written."""

    size: int  # of its sealed bytes; 0: it has none, or not any more
    kept_at: int  # by the wall clock: `at` may lie in the past of a history that is replayed
    decided: int = 0  # its number among the outcomes of its partition, or of intakes; 0: it is none


LETTER_TEXTS = {
    "field": 200,
    "detail": 1000,
    "source": 200,
    "event_id": 200,
    "type": 200,
    "case_id": 120,
    "principal": 250,
}
"""How many characters of a letter's texts are kept. Longer ones would fit neither an index nor the letter's message. A
text within the limits of the envelope is never cut, and the sealed bytes have all of it."""


class FileRow(Struct):
    """A file that is kept, as one principal has sent it. `sent_at`: ms UTC, when it did so or named it again, last."""

    sha256: str
    principal: str
    size: int
    media: str
    sent_at: int


class ReferenceRow(Struct):
    """A case refers to a file, by the event of a principal; empty: of the engine's own. `erased`: its words were."""

    sha256: str
    case_id: str
    principal: str
    at: int
    erased: bool = False


class SealedRow(Struct):
    """A sealed body, under its token, and the case that it is about."""

    token: str
    body: str
    subject: str


class AuditRow(Struct):
    """What was done by whom: `act` on `object`, by the way `via`, and how it ended."""

    id: str
    at: int
    who: str
    act: str
    object: str
    via: str
    outcome: str


class PartitionRow(Struct):
    """A partition: position in the log, clock (ms UTC), number of its last step, and `version`, the fence."""

    partition: int
    position: int
    clock: int
    n: int
    version: int
    halted: str
    packs: str
    standing: int = 0  # cases
    silences: str = ""  # JSON, empty: none
    unheard: str = ""  # JSON, empty: none
    archives: str = ""  # JSON, empty: none


class StandingRow(Struct):
    """A case that stands: a rule failed on it, and nothing of it has been decided since."""

    case_id: str
    partition: int
    position: int
    arrival: int
    next_at: int | None
    pack: str
    place: str
    kind: str
    voice: str
    tries: int = 0
    asked: bool = False


class WaitingRow(Struct):
    """A record that is decided when its case goes on, what another case said to it, or a pack's activation meanwhile.

    `turn` orders what has one position: what firings before the record said, the record, what it said itself.
    """

    partition: int
    position: int
    turn: int
    case_id: str
    arrival: int
    kind: str
    principal: str
    body: str
    nearby: str = ""


class OutgoingRow(Struct):
    """Something that a case said to one of another home, until the log has it. `arrival`: of the step, in ms."""

    partition: int
    n: int
    k: int
    case_id: str
    seq: int
    target: str
    arrival: int
    body: str


class HeardRow(Struct):
    """Something that a case of another home has said to a case, and the record with which it came first."""

    case_id: str
    source: str
    id: str
    partition: int
    position: int


class ArrivalsRow(Struct):
    """The arrivals of the records of one slice, as `engine.slice.standing` packs them."""

    partition: int
    position: int
    body: str


class SettlementRow(Struct):
    """A verdict on a record that the engine cannot decide: an operator's (`skip`, `stamp:<ms>`), or one of isolation
    (`undecidable`, `quarantine:<case>@<seq>`)."""

    partition: int
    position: int
    verdict: str
    detail: str


class PackRow(Struct):
    """A compiled pack by its hash."""

    hash: str
    code: str
    title: str
    body: str
