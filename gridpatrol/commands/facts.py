"""`gridpatrol facts export`: the steps of every incident as canonical JSON lines.

Sorted by case and without numbers, two runs over the same log give the same bytes, however the work was divided.
"""

from hashlib import sha256

import click
import msgspec

from engine.store import exports
from engine.store.rows import StepRow
from gridpatrol import options
from gridpatrol.run.closed_years import snapshot
from gridpatrol.run.wiring import reading, settings_of


@click.group("facts")
def command() -> None:
    """Export facts, the history of every incident."""


@command.command("export")
@options.output
@click.option(
    "--sort",
    "order",
    type=click.Choice(["case", "number"]),
    default="case",
    show_default=True,
    help="By case, or by partition and number as they were told.",
)
@click.option("--without-n", is_flag=True, help="Leave out partition and number, which differ between runs.")
@options.database
def export(output: str, order: str, without_n: bool, database: str | None) -> None:
    """Write every step as a JSON line. The last words are how many they are, and the SHA-256 of the file.

    \b
    Examples:
      gridpatrol facts export -o facts.jsonl
      diff <(gridpatrol facts export --without-n --database A) <(gridpatrol facts export --without-n --database B)
    """
    read = exports.steps_by_case if order == "case" else exports.steps_by_number
    settings, count, digest = settings_of(database=database), 0, sha256()
    with (
        reading(settings) as opened,
        snapshot(settings)(opened) as connection,
        options.whole_file(output) as out,
    ):
        for step in read(connection):
            written = line(step, without_n)
            count += 1
            digest.update(written)
            out.write(written)
    click.echo(f"{count} steps. SHA-256: {digest.hexdigest()}", err=output == "-")


def line(step: StepRow, without_n: bool) -> bytes:
    """A step in declared order; cause and facts go in as the bytes that are stored."""
    place = {} if without_n else {"partition": step.partition, "n": step.n}
    members = place | {
        "case": step.case_id,
        "seq": step.seq,
        "at": step.at,
        "day": step.day,
        "policy": step.policy,
        "definition": step.definition,
        "path": step.path,
        "category": step.category,
        "group": step.grp,
        "department": step.department,
        "post": step.post,
        "cause": msgspec.Raw(step.cause.encode()),
        "facts": msgspec.Raw(step.body.encode()),
    }
    return msgspec.json.encode(members) + b"\n"
