"""The command: `gridpatrol COMMAND ...`. Each group of commands stands in one file of `gridpatrol.commands`.

What was asked for goes to stdout, everything else to stderr. Exit status 0; 1 if something was refused or is not as it
should be (one sentence with the remedy); 2 if the command line itself is wrong; 3 if an audit finds that something was
changed; 75 if nothing is wrong, and the same will do later.
"""

import sys
from importlib import import_module
from typing import Any

import click

from engine.errors import WRONG, GridpatrolError
from gridpatrol import collector
from workflows.clocks.limits import LimitError
from workflows.clocks.timescales import CalendarError

COMMANDS = {
    "serve": "serve",
    "replay": "replay",
    "import": "importing",
    "publish": "publish",
    "incident": "incident",
    "case": "case",
    "task": "task",
    "targets": "targets",
    "duty": "duty",
    "draw": "draw",
    "deduction": "deduction",
    "deadline": "deadline",
    "alert": "alert",
    "notice": "notice",
    "channel": "channel",
    "performance": "performance",
    "assess": "assess",
    "whatif": "whatif",
    "responsible": "responsible",
    "responsibility": "responsibility",
    "ledger": "ledger",
    "report": "report",
    "export": "exporting",
    "deadletter": "deadletter",
    "audit": "audit",
    "pack": "pack",
    "principal": "principal",
    "schema": "schema",
    "clock": "clock",
    "log": "log",
    "facts": "facts",
    "archive": "archive",
    "verify": "verify",
    "backup": "backup",
    "restore": "restore",
    "db": "db",
    "topic": "topic",
    "ops": "ops",
    "demo": "demo",
    "bench": "bench",
}
"""Name -> file in `gridpatrol.commands`, whose `command` it is. Loaded when asked for: one command needs not all."""

PLAIN = (GridpatrolError, CalendarError, LimitError, OSError)
"""Errors whose message is meant for the person at the terminal."""


def status_of(error: Exception) -> int:
    """The exit status of a command that ends with one of these errors."""
    return error.exit_status if isinstance(error, GridpatrolError) else WRONG


class Commands(click.Group):
    """Loads a command when it is asked for, and says what went wrong in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with collector.loading():
            command: click.Command = import_module(f"gridpatrol.commands.{COMMANDS[cmd_name]}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            sys.stderr.close()  # the reader has gone: nothing more to say, and nowhere to say it
            ctx.exit(0)
        except PLAIN as error:
            click.echo(f"gridpatrol: {error}", err=True)
            ctx.exit(status_of(error))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from engine.store.database import unusable  # SQLAlchemy takes a while to import

            if (known := unusable(error)) is None:
                raise
            click.echo(f"gridpatrol: {known}", err=True)
            ctx.exit(known.exit_status)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gridpatrol", message="%(prog)s %(version)s")
def main() -> None:
    """An incident engine for four-level grid management (四级网格化管理).

    A problem found on patrol reaches whoever can solve it before its deadline, and stays open until someone on site
    says it is solved.

    \b
    See it work:                  gridpatrol demo run
    Replay a real city:           gridpatrol demo city
    Run it:                       gridpatrol serve
    Ask why a deadline is what it is:
      gridpatrol deadline explain --limit 4工作时 --from 2026-02-14T17:00+08:00

    Settings come from gridpatrol.toml, then GRIDPATROL_* variables (GRIDPATROL_DATABASE, GRIDPATROL_LISTEN,
    GRIDPATROL_PACK ...), then flags.
    """


if __name__ == "__main__":
    main()
