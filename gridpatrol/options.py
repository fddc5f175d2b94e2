"""Options that several commands share, so that they mean the same everywhere."""

import json
import os
import pwd
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from engine import files
from engine.principals import Operator
from engine.views.questions import BadQuestion, check_text
from schemas.envelope import to_ms

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

database: Decorator = click.option(
    "--database", metavar="URL", help="SQLAlchemy URL, e.g. sqlite:///var/demo.db or postgresql://user@host/name."
)
listen: Decorator = click.option("--listen", metavar="HOST:PORT", help="Where the server listens, e.g. 127.0.0.1:8420.")
pack: Decorator = click.option("--pack", metavar="DIR", help="Folder of a policy pack, or the name of a shipped one.")
TOKEN = "gridpatrol.token"
"""Name under which the token of --token-file is kept while a command runs."""
SERVER = "gridpatrol.server"
"""Name under which the address of --server is kept while a command runs."""


def _kept_as(name: str, read: Callable[[Any], str]) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Keeps the value of an option for whoever asks a server, instead of handing it to the command."""

    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            ctx.meta[name] = read(value)

    return keep


token_file: Decorator = click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="GRIDPATROL_TOKEN_FILE",
    expose_value=False,
    callback=_kept_as(TOKEN, lambda file: file.read_text(encoding="utf-8").strip()),
    help="File with the token for the server, instead of GRIDPATROL_TOKEN.",
)
server: Decorator = click.option(
    "--server",
    metavar="URL",
    envvar="GRIDPATROL_SERVER",
    expose_value=False,
    callback=_kept_as(SERVER, lambda url: url if "://" in url else f"http://{url}"),
    help="Where the server or a gateway is asked, if it runs on another machine, e.g. https://gateway.example:8420.",
)
as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
as_csv: Decorator = click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
lang: Decorator = click.option("--lang", type=click.Choice(["zh", "en"]), default="zh", show_default=True)
output: Decorator = click.option("-o", "--output", default="-", metavar="FILE", help="File to write, - for stdout.")


@contextmanager
def whole_file(name: str) -> Iterator[IO[bytes]]:
    """A file that takes its name when all of it is written; until then, and after an error, the old one stays. It is
    its owner's alone: what is exported names posts, and tokens of what people said."""
    if name == "-":
        yield click.get_binary_stream("stdout")
        return
    part = Path(f"{name}.part")
    try:
        with open(part, "wb", opener=files.opener) as out:
            os.fchmod(out.fileno(), files.OWN)  # an interrupted export of an older release may have left it
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(name)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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


at: Decorator = click.option(
    "--at",
    type=INSTANT,
    help="What stood at this instant, as known then, e.g. 2026-03-02T09:00+08:00.",
)


def utc(ms: int) -> str:
    """An instant (ms UTC) for people, in whole seconds: `2026-03-02T01:00:00Z`."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class LimitType(click.ParamType):
    """How many lines: a whole number from 1 on, or `all`, which is EVERY."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Refuse anything else."""
        if isinstance(value, int):
            return value
        if value == "all":
            return EVERY
        if not (value.isascii() and value.isdigit() and 0 < int(value) <= EVERY):
            self.fail(f"{value!r} is no number of lines: give one from 1 on, or `all`", param, ctx)
        return int(value)


EVERY = 10**12
"""A number of lines that no listing reaches."""
FIRST = 50
"""So many lines are shown unless more are asked for."""
limit: Decorator = click.option(
    "--limit", type=LimitType(), metavar="N|all", help=f"How many; default: {FIRST}, of CSV all."
)


class TextType(click.ParamType):
    """A text of a question to a database. What only some databases take is a mistake of the command line on all."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse it as the door does."""
        try:
            check_text(str(value), "")
        except BadQuestion as error:
            self.fail(str(error), param, ctx)
        return str(value)


TEXT = TextType()


def operator() -> Operator:
    """Who acts on a database by a command of this machine, for the audit."""
    return Operator(f"local:{account()}", "cli")


def account() -> str:
    """Who runs the command: the account's name on this machine, or its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def token() -> str:
    """The token that a server is sent; empty where none was given."""
    ctx = click.get_current_context(silent=True)
    kept = (ctx.meta.get(TOKEN) if ctx else None) or os.environ.get("GRIDPATROL_TOKEN", "").strip()
    if not re.fullmatch(r"[!-~]*", kept):
        raise click.UsageError("What GRIDPATROL_TOKEN or --token-file gives is no token.")
    return kept


def server_named() -> str:
    """The address of --server; empty where none was given."""
    ctx = click.get_current_context(silent=True)
    return (ctx.meta.get(SERVER) if ctx else None) or ""


def print_json(value: Any) -> None:
    """A value as JSON for people and programs: indented, Chinese as it is."""
    click.echo(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2))


def say(text: str) -> None:
    """Beside the result: on stderr, so that stdout can be piped."""
    click.echo(text, err=True)
