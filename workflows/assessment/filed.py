"""A sheet as it is stored (存档): what it names besides its scores, its canonical JSON, its hash, and its period. Pure.

What stands still when a sheet is computed may change it once it goes on: partitions that are halted, cases that stand
since a defect or are in quarantine. They are named in the sheet. One that names nothing has the hash of its scores.
"""

import hashlib

import msgspec
from msgspec import Struct, structs

from schemas.derived_ids import derived_subject
from schemas.kinds.assessment import Assessment
from workflows.assessment.scoring import Sheet
from workflows.case import AWAITED, Case
from workflows.clocks.calendar import day_number, day_of_number
from workflows.figures import period_bounds
from workflows.policy.index import Policy

MONTHS_OF = {"Q": 3, "H": 6}
"""The months of a period, by the letter with which it is written: `2026-Q3`."""


MOST_TAKEN = 8
"""So many ids of an assessment are looked at, where others have taken them."""


class FiledSheet(Sheet, frozen=True, kw_only=True, omit_defaults=True):
    """A sheet with what stood still when it was computed: numbers of partitions, ids of cases.

    `vetoes`: in the sheet of a year the supervisions that veto a subject; None in that of another period, and of
    releases that left them out.
    """

    halted: tuple[int, ...] = ()
    standing: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    vetoes: dict[str, tuple[str, ...]] | None = None

    @property
    def still(self) -> int:
        """How many it names."""
        return len(self.halted) + len(self.standing) + len(self.quarantined)


class Still(Struct, frozen=True):
    """What stands still: halted partitions, cases that stand, cases in quarantine, each sorted."""

    halted: tuple[int, ...] = ()
    standing: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()


def filed(sheet: Sheet, still: Still, vetoes: dict[str, tuple[str, ...]] | None = None) -> FiledSheet:
    """A sheet that names what stands still, and the vetoes of a year."""
    return FiledSheet(**structs.asdict(sheet), **structs.asdict(still), vetoes=vetoes)


def body_of(sheet: Sheet) -> str:
    """The canonical JSON of a sheet: fields in declared order, whole numbers, nothing volatile."""
    return msgspec.json.encode(sheet).decode()


def digest(sheet: Sheet) -> str:
    """The content address of a sheet: SHA-256 of its canonical JSON."""
    return hashlib.sha256(body_of(sheet).encode()).hexdigest()


def decode(body: str) -> FiledSheet:
    """A stored sheet. Members that it lacks have their defaults; msgspec.DecodeError for anything else."""
    return msgspec.json.decode(body, type=FiledSheet)


def outcome(sheet: FiledSheet) -> list[tuple[str, int, int | None, tuple[str, ...]]]:
    """What a restatement has to change: score, place and vetoes of each subject."""
    vetoes = sheet.vetoes or {}
    return [(score.subject, score.total, score.place, vetoes.get(score.subject, ())) for score in sheet.scores]


def period_text(period: str, first: int) -> str:
    """A period as people write it, by its first local day (YYYYMMDD): `2026`, `2026-H1`, `2026-Q3`, `2026-08`."""
    year, month = first // 10_000, first // 100 % 100
    if period == "year":
        return f"{year}"
    if period == "month":
        return f"{year}-{month:02}"
    letter = "Q" if period == "quarter" else "H"
    return f"{year}-{letter}{(month - 1) // MONTHS_OF[letter] + 1}"


def subject_of(register: Policy, card: str, first: int, taken: int = 0) -> str:
    """The id of the assessment of a card and the period that begins on a local day: it lies in the root's home.
    `taken`: under so many of its ids others have begun a case."""
    begins = register.clock_of_days.day_start(first)
    row = f"{card}/{taken}" if taken else card
    return derived_subject(register.root, "assessment", row, "", first, begins)


def is_taken(case: Case) -> bool:
    """Whether a case that stands under the id of an assessment is another one's: an id can be foretold."""
    return case.state != AWAITED and not isinstance(case.own, Assessment)


def period_before(first: int, period: str) -> tuple[int, int]:
    """First and last local day of the period before one."""
    return period_bounds(day_of_number(day_number(first) - 1), period)
