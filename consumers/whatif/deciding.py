"""History decided twice, as it was and under the other pack, in databases that are thrown away.

What came before the instant is decided once; from there on a second process decides one side, if there is enough.
"""

import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from consumers.whatif.history import Instead, beginnings, lines, sends_under
from engine import replay
from engine.errors import GridpatrolError
from engine.runtime import Consumer, Engine
from engine.settings import Settings
from engine.store import slices
from engine.store.database import Connection, open_database

Progress = Callable[[int], None]
"""Called with the number of records decided, over both sides."""
ALONE = 3_000
"""Fewer records than these, from the instant on, are decided sooner by one process than by two."""
MOST_ROUNDS = 16
"""So often the other side is decided anew, while other things are said from home to home than were before."""


class Unsettled(GridpatrolError):
    """The other side comes to no end."""

    remedy = "Compare a shorter time, or a pack that differs less."


class Decided(Struct):
    """The two sides, each open for reading."""

    was: Connection
    would_be: Connection
    records: int
    fallen: int  # recorded sends that nobody says under the other pack
    anew: int  # sends that are said under it for the first time


@contextmanager
def decided(
    engine: Engine,
    connection: Connection,
    folder: Path,
    instead: Instead,
    until: int,
    consumers: Sequence[Consumer] = (),
    progress: Progress = lambda done: None,
    alone: int = ALONE,
    spare: Callable[[], object] = int,
) -> Iterator[Decided]:
    """History up to an instant (ms since 1970), decided as it was and with the other pack, in databases of a folder.
    `connection` reads the database together with what has left it. LogMismatch, PackUnusable.

    `consumers` make of the steps what is asked afterwards: figures, of which places and scores are. From `alone`
    records on a second process decides the other side; `progress` then tells of both by this one's. `spare` is called
    at the start of either process, where it has loaded all that it needs.
    """
    spare()
    ends = {row.partition: row.position for row in slices.read_partitions(connection)}
    since = beginnings(engine, connection, ends, until, instead.since)
    was, would_be = (f"sqlite:///{folder / name}" for name in ("was.db", "would-be.db"))
    settings = replace(engine.settings, partitions=engine.count, kafka="", role="all")
    common = decide(was, settings, consumers, lines(engine, connection, since, until), lambda n: progress(2 * n))
    shutil.copyfile(folder / "was.db", folder / "would-be.db")
    left = lines(engine, connection, ends, until)
    other = lines(engine, connection, ends, until, instead)
    if sum(ends.values()) - common < alone:
        one = decide(was, settings, consumers, left, lambda n: progress(common + max(common, n)))
        two = decide(would_be, settings, consumers, other, lambda n: progress(one + max(common, n)))
    else:
        (file := folder / "would-be.jsonl").write_bytes(b"\n".join(other))
        with get_context("spawn").Pool(1, begin_process, (spare,)) as pool:
            later = pool.apply_async(decide_file, (would_be, settings, consumers, file))
            one = decide(was, settings, consumers, left, lambda n: progress(2 * max(common, n)))
            two = later.get()
    for _ in range(MOST_ROUNDS):
        with sides_of(was, would_be) as (here, there):
            found = sends_under(engine, connection, until, instead, here, there)
        if found == instead:
            break
        instead = found
        for file in folder.glob("would-be.db*"):
            file.unlink()
        two = decide(would_be, settings, consumers, lines(engine, connection, ends, until, instead), lambda n: None)
    else:
        raise Unsettled(f"what is said from home to home under the other pack still changes after {MOST_ROUNDS} rounds")
    with sides_of(was, would_be) as (here, there):
        yield Decided(here, there, one + two, len(instead.fallen), len(instead.said))


@contextmanager
def sides_of(was: str, would_be: str) -> Iterator[tuple[Connection, Connection]]:
    """The databases of the two sides, for reading."""
    with (
        closing(open_database(was)) as here,
        closing(open_database(would_be)) as there,
        here.read() as reads,
        there.read() as other_reads,
    ):
        yield reads, other_reads


def decide(
    url: str, settings: Settings, consumers: Sequence[Consumer], recorded: Iterable[bytes], progress: Progress
) -> int:
    """Decide lines of a log in a database, which is made if it is not there, with what its consumers make of them, from
    where it stands. How many records the lines have."""
    with closing(open_database(url)) as database:
        database.upgrade()
        engine = Engine(database, replace(settings, database=url), consumers)
        count = replay.replay_log(engine, recorded, progress, unchecked=True, keep_said=True)
        while engine.feed():
            pass
    return count


def begin_process(spare: Callable[[], object]) -> None:
    """The start of the second process: the first one alone is interrupted, and ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spare()


def decide_file(url: str, settings: Settings, consumers: Sequence[Consumer], file: Path) -> int:
    """The same of the lines of a file, in a process of its own."""
    with file.open("rb") as recorded:
        return decide(url, settings, consumers, recorded, lambda n: None)
