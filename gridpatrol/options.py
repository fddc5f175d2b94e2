"""Options that several commands share, so that they mean the same everywhere. In: nothing. Out: decorators."""

import json
import os
import pwd
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click
import msgspec

from schemas.envelope import to_ms

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

database: Decorator = click.option(
    "--database", metavar="URL", help="SQLAlchemy URL, e.g. sqlite:///var/demo.db or postgresql://user@host/name."
)
listen: Decorator = click.option("--listen", metavar="HOST:PORT", help="Where the server listens, e.g. 127.0.0.1:8420.")
pack: Decorator = click.option("--pack", metavar="DIR", help="Folder of a policy pack, or the name of a shipped one.")
as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
lang: Decorator = click.option("--lang", type=click.Choice(["zh", "en"]), default="zh", show_default=True)


class InstantType(click.ParamType):
    """An RFC 3339 instant with its zone, as milliseconds UTC."""

    name = "INSTANT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Refuse what leaves the zone open: a guess would be hours off."""
        if isinstance(value, int):
            return value
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an instant such as 2026-02-14T17:00+08:00", param, ctx)
        if when.tzinfo is None:
            self.fail(f"{value!r} names no zone: add +08:00, or Z for UTC", param, ctx)
        return to_ms(when)


INSTANT = InstantType()


def account() -> str:
    """Who runs the command, for lines in the log: the account's name on this machine, or its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def print_json(value: Any) -> None:
    """A value as JSON for people and programs: indented, Chinese as it is."""
    click.echo(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2))


def say(text: str) -> None:
    """Beside the result: on stderr, so that stdout can be piped."""
    click.echo(text, err=True)
