"""The homes of a partition: an activation enters them, and gives them what they follow.

A home follows the activations of its partition and its silences (`workflows.homes`). Both stand in the partition's row,
so that a home which comes up late knows those that it has missed.
"""

from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from engine.store.rows import PartitionRow
from schemas.derived_ids import home_subject
from schemas.partition import partition_of
from workflows import homes
from workflows.policy.index import Policy
from workflows.responsibility import changed_lists


class Entering(Struct, frozen=True):
    """A home that is to come up at an instant. `new`: it has no row yet."""

    id: str
    at: int
    new: bool


def activations_of(row: PartitionRow) -> list[tuple[str, int]]:
    """What became active in a partition so far: a pack's hash, and when it arrived (ms)."""
    return msgspec.json.decode(row.packs, type=list[tuple[str, int]])


def active_at(row: PartitionRow, instant: int) -> str:
    """The hash of the pack that was active in a partition at an instant; of its first one before that."""
    activated = activations_of(row)
    return next((digest for digest, arrival in reversed(activated) if arrival <= instant), activated[0][0])


def course_of(row: PartitionRow, policy: Callable[[str], Policy]) -> homes.Course:
    """What the homes of a partition follow."""
    silences = msgspec.json.decode(row.silences or "[]", type=list[tuple[int, int]])
    return homes.Course(activations_of(row), silences, policy)


def note_silence(row: PartitionRow, arrival: int, active: Policy | None, count: int) -> None:
    """Keep in a partition's row that nothing has arrived for long before an arrival, where something was owed then.

    Whoever moves the clock to an arrival asks here first: a slice may end with the clock there, the record undecided.
    """
    silent = arrival - row.clock > homes.SILENCE_MS
    if silent and active is not None and subjects_of(row, [active], count):
        known = msgspec.json.decode(row.silences or "[]", type=list[tuple[int, int]])
        if (row.clock, arrival) not in known:
            row.silences = msgspec.json.encode([*known, (row.clock, arrival)]).decode()


def asked_anew(row: PartitionRow, old: Policy, new: Policy, count: int) -> list[str]:
    """The ids of the homes of a partition in which a list of responsibilities is another one under the new pack."""
    known = changed_lists(old, new)
    return sorted(home_subject(home) for home in known if partition_of(home, count) == row.partition)


def subjects_of(row: PartitionRow, policies: Iterable[Policy], count: int) -> list[str]:
    """The ids of the homes of a partition in which something is owed under one of these packs."""
    known = set[str]().union(*(homes.owed_by_home(policy) for policy in policies))
    return sorted(home_subject(home) for home in known if partition_of(home, count) == row.partition)
