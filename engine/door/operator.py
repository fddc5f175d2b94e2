"""What operators do to a running engine, over loopback only: packs, dead letters, settlements.

In: requests of the command line. Out: actions on the writer's own thread, between two turns, and what became of them.
`gridpatrol` commands that write use these routes when a server holds the lease.
"""

import asyncio
from typing import Any

from litestar import post
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from engine import letters
from engine.clock import now_ms
from engine.runtime import Engine
from engine.slice import Answer
from engine.store import letters as store
from engine.store.rows import SettlementRow
from engine.writer import Writer
from workflows.pack import Pack

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


def operator_handlers(writer: Writer) -> list[BaseRouteHandler]:
    """The routes, bound to the writer of this process."""

    @post("/v1/operator/packs", status_code=202, tags=["operator"], summary="Activate a compiled pack")
    async def activate(data: Pack) -> Activated:
        return Activated(await _act(writer, lambda engine: engine.install(data, now_ms())))

    @post("/v1/operator/letters/{letter:str}/replays", status_code=200, tags=["operator"],
          summary="Replay a dead letter")  # fmt: skip
    async def replay_letter(letter: str) -> Replayed:
        return await _replay(writer, letter)

    @post("/v1/operator/settlements", status_code=200, tags=["operator"],
          summary="Settle a record that halts its partition")  # fmt: skip
    async def settle(data: Settled) -> Settled:
        await _act(writer, lambda engine: settle_in(engine, data))
        return data

    return [activate, replay_letter, settle]


async def _act(writer: Writer, action: Any) -> Any:
    """An action on the writer's thread; what it refuses is the client's to mend."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(writer.call(action)), WAIT_S)
    except ValueError as error:
        raise ClientException(str(error)) from error


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


async def _replay(writer: Writer, id_: str) -> Replayed:
    """Decide a letter anew, wait for the outcome, and keep it with the letter."""
    found = await _act(writer, lambda engine: read_letter(engine, id_))
    if found is None:
        raise NotFoundException(f"there is no dead letter {id_!r}")
    try:
        submission = letters.resubmission(*found, writer.engine.count)
    except letters.NotReplayable as error:
        raise ClientException(str(error), status_code=409) from error
    ask = writer.submit(submission, wait=submission.kind == "event")
    await asyncio.wait_for(asyncio.wrap_future(ask.durable), WAIT_S)
    answer = await asyncio.wait_for(asyncio.wrap_future(ask.outcome), WAIT_S) if ask.outcome else None
    outcome = outcome_of(id_, answer)
    await _act(writer, lambda engine: keep(engine, outcome))
    return outcome


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
