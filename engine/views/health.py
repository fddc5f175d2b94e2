"""How the installation is, for who operates it: partitions, what waits, who lags behind, dead letters."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from engine.policies import Policies
from engine.store import clocks, dead_letters, inbox_table, incident_queries, positions, slices, standing
from engine.store.database import Connection
from engine.views.names import active_names

MOST_LETTERS = 50
"""Dead letters of the page; the others are listed by the command."""


class PartitionLine(Struct, frozen=True):
    """A partition: how far it has decided (empty: nothing yet), its steps, what waits in a table of the log (None: the
    log is a topic), how many of its cases stand, and why it stands still (empty: it runs)."""

    partition: int
    decided_to: str
    steps: int
    waiting: int | None
    standing: int
    halted: str


class ConsumerLine(Struct, frozen=True):
    """A consumer, and how many steps it has still to take in."""

    name: str
    behind: int


class LetterLine(Struct, frozen=True):
    """A dead letter: what was refused, and why."""

    id: str
    at: str
    reason: str
    field: str
    type: str
    detail: str
    principal: str
    case: str


class LetterCount(Struct, frozen=True):
    """Dead letters of a reason: in all, and never replayed."""

    reason: str
    count: int
    open: int


class Health(Struct, frozen=True, kw_only=True):
    """The state of the installation as of an instant."""

    partitions: list[PartitionLine]
    consumers: list[ConsumerLine]
    letters: list[LetterLine]
    counts: list[LetterCount]
    as_of: str
    zone: str

    @property
    def halted(self) -> int:
        """Partitions that stand still."""
        return sum(bool(line.halted) for line in self.partitions)

    @property
    def waiting(self) -> int:
        """Records that wait in tables."""
        return sum(line.waiting or 0 for line in self.partitions)

    @property
    def standing(self) -> int:
        """Cases that stand after a defect."""
        return sum(line.standing for line in self.partitions)

    @property
    def open_letters(self) -> int:
        """Letters that nobody has replayed."""
        return sum(count.open for count in self.counts)


def health(
    connection: Connection, policies: Policies, consumers: Sequence[str], refused: Mapping[int, str], now: int
) -> Health:
    """How the installation is. `refused`: partitions that this process keeps still, and why. Raises NoActivePack."""
    names, told = active_names(connection, policies), clocks.read(connection)
    waiting = dict(incident_queries.count_waiting(connection)) if inbox_table.read_origin(connection) is None else None
    halted, stand = dict(incident_queries.read_halted(connection)) | dict(refused), dict(standing.counts(connection))
    partitions = [
        PartitionLine(
            partition=row.partition,
            decided_to=names.instant(told[row.partition]) if told.get(row.partition) else "",
            steps=row.n,
            waiting=None if waiting is None else waiting.get(row.partition, 0),
            standing=stand.get(row.partition, 0),
            halted=halted.get(row.partition, ""),
        )
        for row in slices.read_partitions(connection)
    ]
    letters = [
        LetterLine(
            id=letter.id,
            at=names.instant(letter.at),
            reason=letter.reason,
            field=letter.field,
            type=letter.type.removeprefix("gridpatrol."),
            detail=letter.detail,
            principal=letter.principal,
            case=letter.case_id,
        )
        for letter in dead_letters.listed(connection, open_only=True, limit=MOST_LETTERS)
    ]
    return Health(
        partitions=sorted(partitions, key=lambda line: line.partition),
        consumers=[ConsumerLine(*each) for each in positions.count_behind(connection, consumers)],
        letters=letters,
        counts=[LetterCount(*each) for each in dead_letters.counts(connection)],
        as_of=names.instant(now),
        zone=names.register.pack.zone,
    )
