"""What operators do to a running engine, over loopback only: packs, dead letters, settlements.

In: requests of the command line. Out: actions on the writer's own thread, between two turns, and what became of them.
`gridpatrol` commands that write use these routes when a server holds the lease.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from engine import letters
from engine.batch import Answer
from engine.clock import now_ms
from engine.door.hall import Hall, settled
from engine.door.problems import Problem, busy
from engine.errors import GridpatrolError
from engine.runtime import Engine
from engine.store import letters as store
from engine.store.rows import SettlementRow
from workflows.pack import Pack

T = TypeVar("T")
WAIT_S = 30


class Activated(Struct, frozen=True):
    """A pack's hash. Every partition activates it at the next record that it decides."""

    hash: str


class Replayed(Struct, frozen=True):
    """What became of a replayed letter: done, parked, refused, duplicate; `released` for a failed firing."""

    letter: str
    outcome: str
    reason: str = ""
    field: str = ""
    detail: str = ""


class Settled(Struct, frozen=True):
    """An operator's word on a record: pass over it (`skip`), or decide it at another instant (`stamp:<ms>`)."""

    partition: int
    position: int
    verdict: str
    detail: str = ""


@post("/v1/operator/packs", status_code=202, tags=["operator"], summary="Activate a compiled pack")
async def activate(hall: NamedDependency[Hall], data: JSONBody[Pack]) -> Activated:
    """Keep the pack under its hash, and let every partition activate it."""
    return Activated(await _act(hall, lambda engine: engine.install(data, now_ms())))


@post("/v1/operator/letters/{letter:str}/replays", status_code=200, tags=["operator"], summary="Replay a letter")
async def replay_letter(hall: NamedDependency[Hall], letter: FromPath[str]) -> Replayed:
    """Decide a dead letter anew, and say what became of it."""
    found = await _act(hall, lambda engine: read_letter(engine, letter))
    if found is None:
        raise Problem(404, "unknown_letter", f"there is no dead letter {letter!r}",
                      remedy="see `gridpatrol deadletter list`")  # fmt: skip
    try:
        submission = letters.resubmission(*found, hall.writer.engine.count)
    except letters.NotReplayable as error:
        raise Problem(409, "not_replayable", str(error)) from error
    ask = hall.writer.submit(submission, wait=submission.kind == "event")
    await _done(ask.durable)
    outcome = outcome_of(letter, None)
    if ask.outcome is not None:
        answered = await _done(ask.outcome)
        outcome = outcome_of(letter, answered)
    await _act(hall, lambda engine: keep(engine, outcome))
    return outcome


@post("/v1/operator/settlements", status_code=200, tags=["operator"], summary="Settle a record that halts")
async def settle(hall: NamedDependency[Hall], data: JSONBody[Settled]) -> Settled:
    """Keep an operator's word on a record, and let its partition go on."""
    await _act(hall, lambda engine: settle_in(engine, data))
    return data


ROUTES = [activate, replay_letter, settle]


async def _act(hall: Hall, action: Callable[[Engine], T]) -> T:
    """An action on the writer's thread; what it refuses is the client's to mend."""
    hall.check_open()
    try:
        return await _done(hall.writer.call(action))
    except (ValueError, GridpatrolError) as error:
        raise Problem(400, "invalid", str(error)) from error


async def _done(future: "Future[T]") -> T:
    """What the writer's thread answers."""
    if not await settled(future, WAIT_S):
        raise busy(f"the writer has not answered within {WAIT_S} s")
    return future.result()


def settle_in(engine: Engine, word: Settled) -> None:
    """Keep the word. A ValueError says what cannot be settled."""
    if word.partition not in engine.rows:
        raise ValueError(f"there is no partition {word.partition}: they run from 0 to {engine.count - 1}")
    if word.position < engine.rows[word.partition].position:
        raise ValueError(f"record {word.partition}.{word.position} has been decided already")
    kind, _, stamp = word.verdict.partition(":")
    if not (word.verdict == "skip" or (kind == "stamp" and stamp.isascii() and stamp.isdigit())):
        raise ValueError(f"the verdict is skip or stamp:<ms>, got {word.verdict!r}")
    engine.settle(SettlementRow(word.partition, word.position, word.verdict, word.detail))


def read_letter(engine: Engine, id_: str) -> tuple[store.Letter, str | None] | None:
    """A letter and its sealed bytes."""
    with engine.database.read() as connection:
        letter = store.read(connection, id_)
        return (letter, store.read_sealed(connection, letter.token)) if letter else None


def outcome_of(id_: str, answer: Answer | None) -> Replayed:
    """An answer in words."""
    if answer is None:
        return Replayed(id_, "released")
    why = answer.refusal
    if why is None:
        return Replayed(id_, answer.outcome)
    return Replayed(id_, answer.outcome, why.reason, why.field, why.detail)


def keep(engine: Engine, outcome: Replayed) -> None:
    """Write down how a replay ended."""
    with engine.database.begin() as connection:
        store.write_replayed(connection, outcome.letter, outcome.outcome)
