"""A progress bar on stderr where somebody watches, silence elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show how far a long command has come; `total` None: not known.

    Gives a function that takes how much is done, and a new total or a new text where these change.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def show(done: int, of: int | None = None, now: str | None = None) -> None:
            bar.update(task, completed=done, total=of if of is not None else total, description=now or what)

        yield show
