"""`gridpatrol deadletter`: what was not taken, why, and another try."""

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click
import msgspec

from engine.errors import LeaseTaken
from engine.operations import erasure, resubmission
from engine.operations.auditing import read_sealed
from engine.operations.erasure import Erased, Erasure, UnknownLetter
from engine.operations.resubmission import NotReplayable, Replayed
from engine.settings import Settings
from engine.store import dead_letters
from gridpatrol import options, pages
from gridpatrol.client import Refused
from gridpatrol.render.tables import LocalClock, clock_of, table
from gridpatrol.run.wiring import reading, settings_of, writer_of, writing

log = logging.getLogger(__name__)

NOT_REPLAYABLE = "not_replayable"
"""The door's reason, and the outcome here, of a letter that cannot be replayed."""


@click.group("deadletter")
def command() -> None:
    """Dead letters: every record that was not taken, kept with its bytes."""


@command.command("list")
@click.option("--reason", type=options.TEXT, default="", help="Only of this reason, e.g. impossible.")
@click.option("--open", "open_only", is_flag=True, help="Only those that nobody has replayed.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_letters(
    reason: str, open_only: bool, limit: int | None, database: str | None, as_json: bool, as_csv: bool
) -> None:
    """List dead letters, the latest first.

    \b
    Examples:
      gridpatrol deadletter list
      gridpatrol deadletter list --reason unknown_code --open --json
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        most = pages.asked(limit, as_csv)
        found = dead_letters.listed(connection, reason=reason, open_only=open_only, limit=most)
        counts = dead_letters.counts(connection)
        clock = clock_of(connection)
    if as_json or as_csv:
        members = [_members(letter, clock) for letter in found]
        return pages.print_rows(members) if as_csv else options.print_json(members)
    rows = [
        (
            letter.id,
            clock.minute(letter.at),
            letter.reason,
            letter.field,
            letter.type.removeprefix("gridpatrol."),
            letter.detail,
            letter.replayed,
        )
        for letter in found
    ]
    table(("letter", "at", "reason", "field", "type", "detail", "replayed"), rows)
    click.echo("; ".join(f"{reason}: {n}, {unseen} open" for reason, n, unseen in counts) or "No dead letters.")


def _members(letter: dead_letters.Letter, clock: LocalClock) -> dict[str, Any]:
    """A letter as JSON shows it."""
    members: dict[str, Any] = msgspec.to_builtins(letter)
    return members | {"at": clock.instant(letter.at), "at_ms": letter.at}


@command.command("show")
@click.argument("letter", type=options.TEXT)
@click.option(
    "--bytes",
    "with_bytes",
    is_flag=True,
    help="Show the sealed bytes as well: they may name people, so `gridpatrol audit list` says who looked.",
)
@options.database
@options.as_json
def show_letter(letter: str, with_bytes: bool, database: str | None, as_json: bool) -> None:
    """Show one dead letter.

    \b
    Example:
      gridpatrol deadletter show 17.42 --bytes
    """
    with reading(settings_of(database=database)) as opened:
        with opened.read() as connection:
            found = _must_exist(dead_letters.read(connection, letter), letter)
            members = _members(found, clock_of(connection))
        body = read_sealed(opened, found, options.operator()) if with_bytes else None
    if with_bytes:
        log.warning("sealed.read", extra={"letter": letter, "by": options.operator().who})
        members["bytes"] = body
        if body is None and found.token:
            options.say("Its bytes are gone: this letter can no longer be replayed.")
    if as_json:
        options.print_json(members)
        return
    for name, value in members.items():
        if value not in ("", None):
            click.echo(f"{name:10} {value}")


def _must_exist(letter: dead_letters.Letter | None, id_: str) -> dead_letters.Letter:
    if letter is None:
        raise UnknownLetter(f"there is no dead letter {id_!r}")
    return letter


@command.command("replay")
@click.argument("letter", type=options.TEXT, nargs=-1, required=True)
@options.server
@options.token_file
@options.database
@options.as_json
@click.pass_context
def replay(ctx: click.Context, letter: tuple[str, ...], database: str | None, as_json: bool) -> None:
    """Decide dead letters anew, under the pack and the incident as they are now.

    What cannot be replayed is named, and the others are. Exit status 1 if there was any, or if any was refused again.

    \b
    Examples:
      gridpatrol deadletter replay 17.42 17.43
      gridpatrol deadletter list --reason unknown_code --open --json | jq -r '.[].id' |
        xargs gridpatrol deadletter replay
    """
    settings = settings_of(database=database)
    with reading(settings) as opened, opened.read() as connection:
        for id_ in letter:
            _must_exist(dead_letters.read(connection, id_), id_)
    outcomes = list[Replayed]()
    try:
        for done in each_replayed(settings, letter):
            outcomes.append(done)
            if not as_json:
                click.echo(line_of(done))
    finally:  # what was done is told, also where the server went away in between
        if as_json:
            options.print_json(outcomes)
    ctx.exit(1 if any(done.reason for done in outcomes) else 0)


def each_replayed(settings: Settings, letters: tuple[str, ...]) -> Iterator[Replayed]:
    """Replay letters one after another, under the lease or through who holds it; what cannot be replayed is no end."""
    try:
        with writing(settings) as engine:
            engine.drain(engine.now())
            for id_ in letters:
                try:
                    yield resubmission.replay(engine, id_, options.operator())
                except NotReplayable as error:
                    why = f"{error.message}. {error.remedy}".strip()
                    yield Replayed(id_, NOT_REPLAYABLE, NOT_REPLAYABLE, detail=why)
            engine.drain(engine.now())
            return
    except LeaseTaken:
        server = writer_of(settings)
    for id_ in letters:
        try:
            answer = server.post(f"/v1/operator/letters/{quote(id_, safe='')}/replays")
        except Refused as refused:
            if refused.status not in (404, 409):
                raise
            yield Replayed(id_, NOT_REPLAYABLE, NOT_REPLAYABLE, detail=f"{refused.message}.")
        else:
            yield msgspec.convert(answer, Replayed)


def line_of(done: Replayed) -> str:
    """What became of a replayed letter, in a line."""
    if done.outcome == NOT_REPLAYABLE:
        return f"{done.letter}: not replayable: {done.detail}"
    if done.reason:
        return f"{done.letter}: {done.outcome} ({done.reason} {done.field}: {done.detail})"
    if done.until:
        types = " or ".join(done.waits_for or ["time"])
        return f"{done.letter}: {done.outcome} until {done.until}, waits for {types}"
    return f"{done.letter}: {done.outcome}" + (f" ({done.detail})" if done.detail else "")


@command.command("erase")
@click.argument("letter", type=options.TEXT)
@options.server
@options.token_file
@options.database
@options.as_json
def erase_letter(letter: str, database: str | None, as_json: bool) -> None:
    """Erase what is sealed of one LETTER: its bytes, and the words of its event that no incident has taken.

    The letter stays, and can no longer be replayed. What names an incident goes with `gridpatrol incident erase`; this
    is for letters that name none.

    \b
    Example:
      gridpatrol deadletter erase door-0f3a9c5e2b7d41c8a6f0e1d2c3b4a596
    """
    settings = settings_of(database=database)
    server = writer_of(settings)
    try:
        with writing(settings, listening=False) as engine:
            erased = erasure.forget(engine.database, erasure.erase_letter(engine, letter, options.operator()))
    except LeaseTaken:
        route = f"/v1/operator/letters/{quote(letter, safe='')}/erasures"
        erased = msgspec.convert(server.post(route, msgspec.json.encode(Erasure(options.account()))), Erased)
    if as_json:
        options.print_json(erased)
        return
    click.echo(f"{letter}: erased what was sealed of it" if erased.letters else f"{letter}: nothing of it was sealed")
    if erased.left:
        options.say(f"Not all of it is gone yet: {erased.left}.")
