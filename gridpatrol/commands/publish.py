"""`gridpatrol publish`: send events, through the running server, or under the lease where none runs.

Each event is answered with what became of it; exit status 1 if something was not taken.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from engine import admission
from engine.errors import GridpatrolError, LeaseTaken
from engine.policies import Policies
from engine.principals import LOCAL
from engine.runtime import Engine
from engine.settings import Settings
from engine.slice.types import Answer
from engine.store import dead_letters
from engine.store.database import Connection
from engine.views.event_status import AskedEvent, event_status
from engine.views.told import told_of
from gridpatrol import options
from gridpatrol.client import Server
from gridpatrol.run.event_file import events_of, lines_of
from gridpatrol.run.wiring import exists, install_if_empty, server_of, settings_of, writer_of, writing
from schemas.instants import written
from schemas.refusals import Refusal

PRINCIPAL = LOCAL.name
WAIT_S = 30
TOLD = ("outcome", "first", "waits_for", "until", "reason", "field", "detail")
"""Members of a result that say what became of its event."""


@click.command("publish")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@options.listen
@options.token_file
@options.database
@options.as_json
@click.pass_context
def command(ctx: click.Context, file: Path, listen: str | None, database: str | None, as_json: bool) -> None:
    """Publish the events of FILE (or - for stdin): JSON lines of CloudEvents, or a JSON array.

    They go through the server that holds the database; where none runs, they are decided here and now. Sending a file
    again is safe: what came before is recognised. Exit status 1 if something was not taken; it is named with its line,
    or as an item of the array. Members that the contract does not know are named: they are sealed, and no rule reads
    them. What came early is named with what it waits for.

    \b
    Examples:
      gridpatrol publish events.jsonl
      gridpatrol publish - --json < events.jsonl
    """
    settings = settings_of(listen=listen, database=database)
    with lines_of(file) as lines:
        places = list[dict[str, int]]()

        def raws() -> Iterator[bytes]:
            for event in events_of(lines):
                places.append({event.where: event.number})
                yield event.raw

        results = publish(settings, raws(), named=database is not None)
    results = [place | item for place, item in zip(places, results, strict=True)]
    outcomes = Counter(str(item.get("outcome") or item["status"]) for item in results)
    failed = [item for item in results if item.get("reason")]
    if as_json:
        options.print_json({"outcomes": outcomes, "results": results})
    else:
        for item in [item for item in results if item.get("unknown")][:50]:
            names = msgspec.json.encode(item["unknown"]).decode()  # in quotes: a name may hold whatever a sender wrote
            click.echo(f"{item['source']} {item['id']}: not in the contract, sealed and read by no rule: {names}")
        for item in [item for item in results if item.get("until")][:50]:
            types = " or ".join(item.get("waits_for") or ["time"])
            click.echo(f"{item['source']} {item['id']}: came early; parked until {item['until']}, waits for {types}")
        for item in failed[:50]:
            where = f" {item['field']}" if item.get("field") else ""
            place = f"line {item['line']}" if "line" in item else f"item {item['item']}"
            name = f"{place} {item.get('source', '')} {item.get('id', '')}".strip()
            click.echo(f"{name}: {item['reason']}{where}: {item['detail']}")
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "No events.")
    ctx.exit(1 if failed else 0)


def publish(settings: Settings, raws: Iterator[bytes], named: bool) -> list[dict[str, Any]]:
    """Results in the order of the events. A database that nobody has named and nobody has made is the server's."""
    if not named and not exists(settings.database) and server_of(settings).answers():
        return publish_there(server_of(settings), raws, settings.batch_events)
    try:
        with writing(settings) as engine:
            install_if_empty(engine)
            results = list[dict[str, Any]]()
            while chunk := list(islice(raws, engine.settings.append_batch)):
                results += _decide(engine, chunk)
            engine.drain(engine.now())
            with engine.database.read() as connection:
                return [told_anew(item, partial(status_of, connection, engine.policies)) for item in results]
    except LeaseTaken:
        server = writer_of(settings)
    return publish_there(server, raws, settings.batch_events)


def told_anew(item: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A result, and of an event that waited what became of it since: what it waited for may have come after it."""
    if not item.get("until"):
        return item
    try:
        status = ask(item)
    except GridpatrolError:  # all of it was taken: what was told of it then still says more than an error
        return item
    kept = {name: value for name, value in item.items() if name not in ("waits_for", "until")}
    return kept | {name: status[name] for name in TOLD if name in status}


def status_of(connection: Connection, policies: Policies, item: dict[str, Any]) -> dict[str, Any]:
    """What is known of an event that was decided here."""
    names = AskedEvent(*(item[name] for name in ("source", "id", "case", "actor", "partition", "position")))
    status: dict[str, Any] = msgspec.to_builtins(event_status(connection, policies, names))
    return status


def publish_there(server: Server, raws: Iterator[bytes], batch: int) -> list[dict[str, Any]]:
    """Through the door, in batches."""
    results = list[dict[str, Any]]()
    while chunk := list(islice(raws, min(batch, 500))):
        items = list[bytes]()
        for raw in chunk:
            try:
                msgspec.json.decode(raw)
                items.append(raw)
            except (msgspec.DecodeError, UnicodeDecodeError):
                # It would spoil its whole batch: it travels as a text, and is refused alone.
                items.append(msgspec.json.encode(raw.decode("utf-8", "backslashreplace")))
        results += server.publish(b"[" + b",".join(items) + b"]", WAIT_S)
    return [told_anew(item, lambda waited: server.get(waited["status_url"])) for item in results]


def _decide(engine: Engine, raws: list[bytes]) -> list[dict[str, Any]]:
    """Append a group of events under the lease, decide them, and answer each."""
    received = [admission.receive(raw, PRINCIPAL, engine.count) for raw in raws]
    taken = [item for item in received if not isinstance(item, Refusal)]
    now = engine.stamp(submission.partition for submission, _ in taken)
    places = iter(engine.append([submission for submission, _ in taken], now) if taken else [])
    answers: dict[tuple[int, int], Answer] = {}
    while (result := engine.work(engine.now())) is not None or engine.forward(engine.now()):
        answers |= {(each.partition, each.position): each for each in (result.answers if result is not None else ())}
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
            if answer.wait:
                members |= {"actor": event.actor, "partition": place.partition, "position": place.position}
                members |= {"waits_for": list(answer.wait.waits_for), "until": written(answer.wait.until)}
            if "done" in (answer.outcome, answer.first):
                with engine.database.read() as connection:
                    said = told_of(connection, event.subject, event.source, event.id, event.actor)
                members |= {name: value for name, value in msgspec.to_builtins(said).items() if value}
            why = _why(answer.refusal) if answer.refusal else {}
            results.append(members | {"outcome": answer.outcome, "first": answer.first} | why)
    return results


def _why(refusal: Refusal) -> dict[str, str]:
    return {"reason": str(refusal.reason), "field": refusal.field, "detail": refusal.detail}
