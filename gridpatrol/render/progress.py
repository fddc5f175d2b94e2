"""A progress bar on stderr where somebody watches, silence elsewhere.

In: what is being done, and how much of it there is (None: nobody knows). Out: a function that is told how much is done,
and what is done now where that changes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show how far a long command has come."""
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

        def told(done: int, of: int | None = None, now: str | None = None) -> None:
            bar.update(task, completed=done, total=of if of is not None else total, description=now or what)

        yield told
