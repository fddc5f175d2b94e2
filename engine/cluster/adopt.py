"""Going on without lost records: the inbox topic was cut at its beginning, made anew, or is another cluster's.

The database must be served by no role. It gets a new origin, by which every partition goes on after what it has
decided. Where the log is whole nothing changes. Where records were lost, the first one that is left and not decided
comes next. A sender of a lost record has no outcome for it and sends it again; records that were decided already are
told apart by source and id.

The facts have what happened. Only the log from before can no longer be exported, and says so.
"""

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from msgspec import Struct

from engine.cluster import topics
from engine.errors import GridpatrolError
from engine.settings import Settings
from engine.store import inbox_table, slices
from engine.store.database import Connection
from engine.store.rows import PartitionRow
from schemas.topics import Topics


class UndecidedLost(GridpatrolError):
    """Records that were not decided yet would be written off."""

    remedy = (
        "Bring the topic back if you can. If it is gone, add --lose-undecided, and let the systems send again whatever "
        "they have no outcome for."
    )


class Step(Struct):
    """How a partition goes on."""

    row: PartitionRow
    head: int  # the position of the next record
    offset: int  # and where the topic has it
    lost: int | None  # records that were not decided; None: an unknown number

    def __str__(self) -> str:
        lost = "an unknown number of records" if self.lost is None else f"{self.lost} records"
        return f"partition {self.row.partition} goes on at {self.head} with offset {self.offset}, {lost} lost"


def adopt(connection: Connection, settings: Settings, admin: KafkaAdminClient, lose: bool) -> list[str]:
    """Take the topic as it is. Returns a line for each partition that lost something; UndecidedLost unless `lose`."""
    origin, found = topics.origin_of(connection), topics.identity(settings, admin)
    same = found == (origin.cluster, origin.topic)
    rows = slices.read_partitions(connection)
    slices.lock_partitions(connection, rows)
    name = Topics(settings.kafka_prefix).inbox
    steps = [step for row in rows if (step := _step(admin, name, row, origin, same)) is not None]
    if steps and not lose:
        raise UndecidedLost("; ".join(map(str, steps)))
    bases, starts = list(origin.bases), [origin.start(p) for p in range(len(origin.bases))]
    for step in steps:
        bases[step.row.partition] = step.head - step.offset
        starts[step.row.partition] = step.offset
        # It was halted for its loss and goes on; a process that has it in memory reads it anew.
        step.row.halted, step.row.version = "", step.row.version + 1
    inbox_table.write_origin(connection, inbox_table.Origin(*found, bases, starts))
    slices.write_partitions(connection, [step.row for step in steps])
    return [str(step) for step in steps]


def _step(admin: KafkaAdminClient, name: str, row: PartitionRow, origin: inbox_table.Origin, same: bool) -> Step | None:
    """How a partition goes on; None where no record is missing. `same`: the topic is the one of the origin."""
    place = TopicPartition(name, row.partition)
    specs = (OffsetSpec.EARLIEST, OffsetSpec.LATEST, row.clock)  # the last one: not older than the partition's clock
    first, end, newer = (int(admin.list_partition_offsets({place: spec})[place].offset) for spec in specs)
    head = max(row.position, origin.bases[row.partition])
    wanted = head - origin.bases[row.partition]
    if same and first <= wanted <= end:
        return None
    if same and wanted < first:
        return Step(row, head, first, first - wanted)
    return Step(row, head, end if newer < 0 else newer, None)
