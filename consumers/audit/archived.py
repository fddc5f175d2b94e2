"""What has left for files, as it is held against the chains: also of a file that was changed as much as can be read."""

from msgspec import Struct

from engine import chain_form
from engine.archive_file import ArchiveFolder, ArchiveUnusable, read
from engine.store import archives
from engine.store.archives import COLUMNS
from engine.store.chains import KeptRow
from engine.store.database import Connection
from engine.store.rows import LetterRow, StepRow
from schemas import facts

STEP, LETTER, CASE = COLUMNS["facts"], COLUMNS["dead_letters"], COLUMNS["facts"].index("case_id")
CASE_OF_LETTER = COLUMNS["dead_letters"].index("case_id")


class LeftRows(Struct):
    """Of a partition: (item, place in its case, token) of steps by number, letters, and why files are not what was
    written, by name."""

    steps: dict[int, tuple[str, str, str]]
    letters: list[KeptRow]
    broken: dict[str, str]


def read_left(connection: Connection, folder: ArchiveFolder, partition: int) -> LeftRows:
    """What has left of a partition."""
    found = LeftRows({}, [], {})
    for archive in archives.listed(connection):
        if archive.partition != partition:
            continue
        left = archives.find_left_in(connection, archive.name)
        try:
            for table, row in read(folder.path(archive)):
                if table == "facts" and row[CASE] in left:
                    step = StepRow(**dict(zip(STEP, row, strict=True)))
                    if step.n in found.steps:
                        found.broken[archive.name] = f"it has step {step.n} twice"
                    add_step(found, step)
                elif table == "dead_letters" and row[CASE_OF_LETTER] in left:
                    known = dict(zip(LETTER, row, strict=True))
                    letter = LetterRow(*(known[name] for name in LetterRow.__struct_fields__))
                    found.letters.append(KeptRow(letter, bool(known["chain_due"]), known["kept_at"]))
            folder.check([archive])
        except ArchiveUnusable as error:
            found.broken[archive.name] = error.message
    return found


def add_step(found: LeftRows, row: StepRow) -> None:
    """Add a step of a file."""
    try:
        token = facts.decode_cause(row.cause).token
    except ValueError:
        token = ""
    found.steps[row.n] = chain_form.step_item(row), f"{row.case_id}.{row.seq}", token
