"""`gridpatrol publish`: send events, through the running server, or under the lease where none runs.

In: JSON lines of CloudEvents, or one JSON array of them. Out: what became of each, counted; those that were not taken,
with the reason.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from engine import admission
from engine.clock import now_ms
from engine.errors import LeaseTaken
from engine.principals import LOCAL
from engine.runtime import Engine
from engine.settings import Settings
from engine.slice.types import Answer
from engine.store import slices
from gridpatrol import options
from gridpatrol.client import Server
from gridpatrol.commands.replay import lines_of
from gridpatrol.run.wiring import exists, install_if_empty, reading, server_of, settings_of, writing
from schemas.refusals import Refusal

PRINCIPAL = LOCAL.name
WAIT_S = 30


@click.command("publish")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@options.listen
@options.token_file
@options.database
@options.as_json
@click.pass_context
def command(ctx: click.Context, file: Path, listen: str | None, database: str | None, as_json: bool) -> None:
    """Publish the events of FILE (or - for stdin): JSON lines of CloudEvents, or a JSON array.

    They go through the server that holds the database; where none runs, they are decided here and now. Sending a file
    again is safe: what came before is recognised. Exit status 1 if something was not taken.

    \b
    Examples:
      gridpatrol publish events.jsonl
      gridpatrol publish - --json < events.jsonl
    """
    settings = settings_of(listen=listen, database=database)
    with lines_of(file) as lines:
        results = list(_publish(settings, lines, named=database is not None))
    outcomes = Counter(str(item.get("outcome") or item["status"]) for item in results)
    failed = [item for item in results if item.get("reason")]
    if as_json:
        options.print_json({"outcomes": outcomes, "results": results})
    else:
        for item in failed[:50]:
            where = f" {item['field']}" if item.get("field") else ""
            name = f"{item.get('source', '')} {item.get('id', '')}".strip()
            click.echo(f"{name}: {item['reason']}{where}: {item['detail']}")
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "No events.")
    ctx.exit(1 if failed else 0)


def _publish(settings: Settings, lines: Iterable[bytes], named: bool) -> Iterator[dict[str, Any]]:
    """Results in the order of the events. A database that nobody has named and nobody has made is the server's."""
    raws = _events(lines)
    if not named and not exists(settings.database) and server_of(settings).answers():
        yield from _publish_there(server_of(settings), raws, settings.batch_events)
        return
    try:
        with writing(settings) as engine:
            install_if_empty(engine)
            yield from _publish_here(engine, raws)
            return
    except LeaseTaken:
        with reading(settings) as opened:
            server = server_of(settings, opened)
    yield from _publish_there(server, raws, settings.batch_events)


def _events(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Events as they were written: one per line, or the items of an array."""
    rest = (line for line in lines if line.strip())
    first = next(rest, b"")
    if not first.lstrip().startswith(b"["):
        yield from (line.strip() for line in (first, *rest) if line)
        return
    try:
        yield from (bytes(raw) for raw in msgspec.json.decode(b"".join([first, *rest]), type=list[msgspec.Raw]))
    except msgspec.DecodeError as error:
        raise click.UsageError(f"The file begins like a JSON array but is none: {error}.") from error


def _publish_there(server: Server, raws: Iterable[bytes], batch: int) -> Iterator[dict[str, Any]]:
    """Through the door, in batches."""
    source = iter(raws)
    while chunk := list(islice(source, min(batch, 500))):
        yield from server.publish(b"[" + b",".join(_sendable(raw) for raw in chunk) + b"]", WAIT_S)


def _sendable(raw: bytes) -> bytes:
    """A line that is no JSON would spoil its whole batch: it travels as a text, and is refused alone."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.encode(raw.decode("utf-8", "backslashreplace"))
    return raw


def _publish_here(engine: Engine, raws: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Under the lease: append, decide, answer."""
    source = iter(raws)
    while chunk := list(islice(source, engine.settings.append_batch)):
        yield from _decide(engine, chunk)
    engine.drain(now_ms())


def _decide(engine: Engine, raws: list[bytes]) -> list[dict[str, Any]]:
    """One group of events."""
    received = [admission.receive(raw, PRINCIPAL, engine.count) for raw in raws]
    taken = [item for item in received if not isinstance(item, Refusal)]
    rows = iter(engine.append([submission for submission, _ in taken], now_ms()) if taken else [])
    answers: dict[tuple[int, int], Answer] = {}
    while (result := engine.work(now_ms())) is not None:
        answers |= {(answer.partition, answer.position): answer for answer in result.answers}
    results = []
    for raw, item in zip(raws, received, strict=True):
        if isinstance(item, Refusal):
            results.append(_rejected(engine, raw, item))
            continue
        row = next(rows)
        results.append(_accepted(item[1], answers.get((row.partition, row.position))))
    return results


def _rejected(engine: Engine, raw: bytes, why: Refusal) -> dict[str, Any]:
    """What breaks the contract is kept as the door keeps it, under the same id."""
    letter = admission.letter_id(raw, PRINCIPAL)
    row, body = admission.letter(raw, why, PRINCIPAL, now_ms(), letter)
    with engine.database.begin() as connection:
        slices.write_letters(connection, [row], [body])
    return {
        "status": "rejected",
        "reason": str(why.reason),
        "field": why.field,
        "detail": why.detail,
        "dead_letter": letter,
    }


def _accepted(event: Any, answer: Answer | None) -> dict[str, Any]:
    said = {"status": "accepted", "source": event.source, "id": event.id, "case": event.subject}
    if answer is None:
        return said | {"outcome": "pending"}
    why = answer.refusal
    more = {"reason": str(why.reason), "field": why.field, "detail": why.detail} if why else {}
    return said | {"outcome": answer.outcome, "first": answer.first} | more
