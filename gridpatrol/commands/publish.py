"""`gridpatrol publish`: send events, through the running server, or under the lease where none runs.

Each event is answered with what became of it; exit status 1 if something was not taken.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from engine import admission
from engine.errors import LeaseTaken
from engine.principals import LOCAL
from engine.runtime import Engine
from engine.settings import Settings
from engine.slice.types import Answer, Released, key_of
from engine.store import dead_letters
from engine.store.rows import SeenKey
from gridpatrol import options
from gridpatrol.client import Server
from gridpatrol.run.event_file import events_of, lines_of
from gridpatrol.run.wiring import exists, install_if_empty, server_of, settings_of, writer_of, writing
from schemas.instants import written
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
    again is safe: what came before is recognised. Exit status 1 if something was not taken. Members that the contract
    does not know are named: they are sealed, and no rule reads them. What came early is named with what it waits for.

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
        for item in [item for item in results if item.get("unknown")][:50]:
            names = msgspec.json.encode(item["unknown"]).decode()  # in quotes: a name may hold whatever a sender wrote
            click.echo(f"{item['source']} {item['id']}: not in the contract, sealed and read by no rule: {names}")
        for item in [item for item in results if item.get("until")][:50]:
            types = " or ".join(item["waits_for"])
            click.echo(f"{item['source']} {item['id']}: came early; parked until {item['until']}, waits for {types}")
        for item in failed[:50]:
            where = f" {item['field']}" if item.get("field") else ""
            name = f"{item.get('source', '')} {item.get('id', '')}".strip()
            click.echo(f"{name}: {item['reason']}{where}: {item['detail']}")
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "No events.")
    ctx.exit(1 if failed else 0)


def _publish(settings: Settings, lines: Iterable[bytes], named: bool) -> Iterator[dict[str, Any]]:
    """Results in the order of the events. A database that nobody has named and nobody has made is the server's."""
    raws = events_of(lines)
    if not named and not exists(settings.database) and server_of(settings).answers():
        yield from _publish_there(server_of(settings), raws, settings.batch_events)
        return
    try:
        with writing(settings) as engine:
            install_if_empty(engine)
            while chunk := list(islice(raws, engine.settings.append_batch)):
                yield from _decide(engine, chunk)
            engine.drain(engine.now())
            return
    except LeaseTaken:
        server = writer_of(settings)
    yield from _publish_there(server, raws, settings.batch_events)


def _publish_there(server: Server, raws: Iterator[bytes], batch: int) -> Iterator[dict[str, Any]]:
    """Through the door, in batches."""
    while chunk := list(islice(raws, min(batch, 500))):
        items = list[bytes]()
        for raw in chunk:
            try:
                msgspec.json.decode(raw)
                items.append(raw)
            except (msgspec.DecodeError, UnicodeDecodeError):
                # It would spoil its whole batch: it travels as a text, and is refused alone.
                items.append(msgspec.json.encode(raw.decode("utf-8", "backslashreplace")))
        yield from server.publish(b"[" + b",".join(items) + b"]", WAIT_S)


def _decide(engine: Engine, raws: list[bytes]) -> list[dict[str, Any]]:
    """Append a group of events under the lease, decide them, and answer each."""
    received = [admission.receive(raw, PRINCIPAL, engine.count) for raw in raws]
    taken = [item for item in received if not isinstance(item, Refusal)]
    now = engine.stamp(submission.partition for submission, _ in taken)
    places = iter(engine.append([submission for submission, _ in taken], now) if taken else [])
    answers: dict[tuple[int, int], Answer] = {}
    ends: dict[SeenKey, Released] = {}
    while (result := engine.work(engine.now())) is not None:
        answers |= {(answer.partition, answer.position): answer for answer in result.answers}
        ends |= {end.key: end for end in result.released}
    results = list[dict[str, Any]]()
    for raw, item in zip(raws, received, strict=True):
        if isinstance(item, Refusal):
            # What breaks the contract is kept as the door keeps it, under the same id.
            letter = admission.letter_id(raw, PRINCIPAL)
            with engine.database.begin() as connection:
                dead_letters.write(connection, [admission.letter(raw, item, PRINCIPAL, now, letter)])
            results.append({"status": "rejected"} | _why(item) | {"dead_letter": letter})
            continue
        (submission, event), place = item, next(places)
        members: dict[str, Any] = {"status": "accepted", "source": event.source, "id": event.id, "case": event.subject}
        if submission.unknown:
            members["unknown"] = submission.unknown
        answer = answers.get((place.partition, place.position))
        if answer is None:
            results.append(members | {"outcome": "pending"})
        else:
            end = ends.get(key_of(place.partition, event)) if answer.wait else None
            answer = answer.after(end) if end else answer
            if answer.wait:
                members |= {"waits_for": list(answer.wait.waits_for), "until": written(answer.wait.until)}
            why = _why(answer.refusal) if answer.refusal else {}
            results.append(members | {"outcome": answer.outcome, "first": answer.first} | why)
    return results


def _why(refusal: Refusal) -> dict[str, str]:
    return {"reason": str(refusal.reason), "field": refusal.field, "detail": refusal.detail}
