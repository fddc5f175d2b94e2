"""Rows as they are written: one struct per table, fields named as the columns. In and out: nothing else."""

from msgspec import Struct


class InboxRow(Struct):
    """A record of the inbox log."""

    partition: int
    position: int
    stamp: int
    kind: str  # event, tick, pack, release
    principal: str
    body: str


class SeenRow(Struct):
    """What became of an event, by its idempotency key."""

    partition: int
    source: str
    id: str
    digest: str
    arrival: int
    position: int
    outcome: str
    reason: str
    field: str
    detail: str
    case_id: str


class CaseRow(Struct):
    """A case: its body, and what is asked for in queries."""

    id: str
    partition: int
    definition: str
    state: str
    open: bool
    level: int
    path: str
    grid: str
    department: str
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


class StepRow(Struct):
    """A step: `cause` and `body` are canonical JSON."""

    partition: int
    n: int
    case_id: str
    seq: int
    at: int
    day: int
    policy: str
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


LETTER_TEXTS = {
    "field": 200,
    "detail": 1000,
    "source": 200,
    "event_id": 200,
    "type": 200,
    "case_id": 120,
    "principal": 250,
}
"""How many characters of a letter's texts are kept. What keeps to the envelope's limits is never cut; of anything else
the sealed bytes have the whole. Longer ones would fit neither an index nor the letter's message."""


class SealedRow(Struct):
    """Something sealed, under its token, and which case it is about."""

    token: str
    body: str
    subject: str


class PartitionRow(Struct):
    """A partition: position, clock, number and fence."""

    partition: int
    position: int
    clock: int
    n: int
    version: int
    halted: str
    packs: str


class SettlementRow(Struct):
    """A word on a record that the engine cannot pass: an operator's (`skip`, `stamp:<ms>`), or what isolation found
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
