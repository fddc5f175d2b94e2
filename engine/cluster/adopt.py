"""Going on without what was lost: the inbox topic was cut at its beginning, made anew, or is another cluster's.

In: settings; a database that no role serves; the topic as the brokers have it now. Out: a new origin, by which every
partition goes on after what it has decided. Where the log is whole nothing changes. Where records were lost, the first
one that is left and not decided comes next; whoever sent a lost one has no outcome for it and sends it again, and what
was decided already is told apart by source and id.

What happened stands in the facts. Only the log of before can be exported no more, and says so.
"""

from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from msgspec import Struct

from engine.cluster import topics
from engine.errors import GridpatrolError
from engine.settings import Settings
from engine.store import inbox as table
from engine.store import slices
from engine.store.database import Connection
from engine.store.rows import PartitionRow
from schemas.topics import Topics


class UndecidedLost(GridpatrolError):
    """Records that nobody has decided would be written off."""

    remedy = (
        "Bring the topic back if you can. If it is gone, add --lose-undecided, and let the systems send again whatever "
        "they have no outcome for."
    )


class Step(Struct):
    """How a partition goes on."""

    row: PartitionRow
    head: int  # the position of the next record
    offset: int  # and where the topic has it
    lost: int | None  # records that nobody decided; None: nobody knows how many

    def __str__(self) -> str:
        lost = "an unknown number of records" if self.lost is None else f"{self.lost} records"
        return f"partition {self.row.partition} goes on at {self.head} with offset {self.offset}, {lost} lost"


def adopt(connection: Connection, settings: Settings, admin: KafkaAdminClient, lose: bool) -> list[str]:
    """Take the topic as it is. A line for each partition that lost something; UndecidedLost unless that was allowed."""
    origin, found = topics.origin_of(connection), topics.identity(settings, admin)
    same = found == (origin.cluster, origin.topic)
    rows = slices.read_partitions(connection)
    slices.lock_partitions(connection, rows)
    name = Topics(settings.kafka_prefix).inbox
    steps = [step for row in rows if (step := _step(row, origin, _reach(admin, name, row), same)) is not None]
    if steps and not lose:
        raise UndecidedLost("; ".join(map(str, steps)))
    table.write_origin(connection, _moved(origin, found, steps))
    _let_go_on(connection, steps)
    return [str(step) for step in steps]


class Reach(Struct):
    """What the topic has of a partition, by offsets: its first, the one after its last, the first not older than the
    partition's clock."""

    first: int
    end: int
    newer: int


def _reach(admin: KafkaAdminClient, name: str, row: PartitionRow) -> Reach:
    place = TopicPartition(name, row.partition)
    first, end, newer = (int(admin.list_partition_offsets({place: spec})[place].offset) for spec in _specs(row.clock))
    return Reach(first, end, end if newer < 0 else newer)


def _specs(clock: int) -> tuple[Any, Any, Any]:
    return OffsetSpec.EARLIEST, OffsetSpec.LATEST, clock


def _step(row: PartitionRow, origin: table.Origin, reach: Reach, same: bool) -> Step | None:
    """How a partition goes on; None where nothing of its log is missing."""
    head = max(row.position, origin.bases[row.partition])
    wanted = head - origin.bases[row.partition]
    if same and reach.first <= wanted <= reach.end:
        return None
    if same and wanted < reach.first:
        return Step(row, head, reach.first, reach.first - wanted)
    return Step(row, head, reach.newer, None)


def _moved(origin: table.Origin, found: tuple[str, str], steps: list[Step]) -> table.Origin:
    """The origin by which these partitions go on there."""
    bases, starts = list(origin.bases), [origin.start(p) for p in range(len(origin.bases))]
    for step in steps:
        bases[step.row.partition] = step.head - step.offset
        starts[step.row.partition] = step.offset
    return table.Origin(*found, bases, starts)


def _let_go_on(connection: Connection, steps: list[Step]) -> None:
    """Partitions that stood still for their loss move again; whoever had them in memory reads them anew."""
    for step in steps:
        step.row.halted, step.row.version = "", step.row.version + 1
    slices.write_partitions(connection, [step.row for step in steps])
