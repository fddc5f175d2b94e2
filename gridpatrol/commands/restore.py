"""`gridpatrol restore`: a backup becomes the database of an installation, and the feed of alerts begins anew."""

import re
from pathlib import Path

import click

from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.run import backup
from gridpatrol.run.endings import interrupted_by_sigterm
from gridpatrol.run.kept_files import missing
from gridpatrol.run.wiring import reading, settings_of


@click.command("restore")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sha256", metavar="DIGEST", help="What the backup printed, instead of what FILE.sha256 says.")
@click.option("--unchecked", is_flag=True, help="Take a file whose SHA-256 nobody knows, and verify all of it.")
@click.option("--in-place", is_flag=True, help="Check a database that other tools have restored, and begin it anew.")
@options.database
@options.as_json
def command(
    file: Path | None, sha256: str | None, unchecked: bool, in_place: bool, database: str | None, as_json: bool
) -> None:
    """Put the backup FILE in the place of the database, where there is none yet, and before its server starts.

    A file that was cut short or changed is refused. An older release's is brought to this one. The alert feed begins
    anew: each subscriber is told, and gets the whole feed.

    With --in-place and without FILE: a database that pg_restore or another tool has restored is verified, and its feed
    begins anew.

    \b
    Examples:
      gridpatrol restore /backup/gridpatrol-2026-11-28.db
      gridpatrol restore --in-place --database postgresql://gridpatrol@db.example/gridpatrol
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise click.UsageError(f"--sha256: {sha256!r} is no SHA-256, which has 64 hexadecimal digits.")
    settings = settings_of(database=database)
    with interrupted_by_sigterm(), progress("copying", None) as show:
        if in_place and file is None and not (sha256 or unchecked):
            restored = backup.restore_in_place(settings, show)
        elif file is not None and not in_place:
            restored = backup.restore(settings, file, sha256.lower() if sha256 else None, unchecked, show)
        else:
            raise click.UsageError("Say either FILE or --in-place; --sha256 and --unchecked go with FILE.")
    if as_json:
        options.print_json(restored)
        return
    note = restored.note
    of = f", as it was at {options.utc(note.at)}: {note.steps} steps" if note is not None and not in_place else ""
    click.echo(f"{restored.database} is restored{of}.")
    click.echo(f"The alert feed begins anew, as epoch {restored.epoch}. Start the server of this database now.")
    with reading(settings) as opened:
        if lost := sum(1 for _ in missing(settings, opened)):
            options.say(f"{lost} files that it knows are not where `files` says: `gridpatrol verify` lists them.")
