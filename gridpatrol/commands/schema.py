"""`gridpatrol schema`: the contract as JSON Schema and AsyncAPI, generated from its types."""

from pathlib import Path

import click

from gridpatrol import options
from schemas import asyncapi, jsonschema


@click.command("schema")
@click.argument("type_", metavar="[TYPE]", required=False)
@click.option(
    "--write",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[DIR]",
    help="Write all of it as files; without DIR, the copies that are shipped.",
)
@click.option("--asyncapi", "wire", is_flag=True, help="Print topics and messages as an AsyncAPI document.")
@options.as_json
def command(type_: str | None, write: str | None, wire: bool, as_json: bool) -> None:
    """Print the JSON Schema of an event TYPE; without one, list the types.

    \b
    Examples:
      gridpatrol schema
      gridpatrol schema gridpatrol.report.submitted.v1
      gridpatrol schema --asyncapi
      gridpatrol schema --write ./schemas
    """
    if write is not None:
        written = jsonschema.write(Path(write)) if write else jsonschema.write()
        document = asyncapi.write(Path(write) / asyncapi.FOLDER.name) if write else asyncapi.write()
        click.echo(f"{len(written)} schemas written to {written[0].parent}, topics and messages to {document}.")
        return
    if wire:
        click.echo(asyncapi.document().decode().rstrip())
        return
    documents = {name.removesuffix(".json"): body for name, body in jsonschema.documents().items()}
    if type_ is None:
        if as_json:
            options.print_json(list(documents))
        else:
            click.echo("\n".join(documents))
        return
    wanted = type_ if type_ in documents else f"gridpatrol.{type_}"
    if wanted not in documents:
        raise click.UsageError(f"There is no type {type_!r}: `gridpatrol schema` lists them.")
    click.echo(documents[wanted].decode().rstrip())
