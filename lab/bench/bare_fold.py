"""The performance role with a fold that does nothing: what Faust can do by itself with the same messages.

Enters: the environment of the role, as a process. Leaves: on standard output a line per batch, its number of steps and
the instant after it (time.monotonic, which all processes of a machine share).

    python -m lab.bench.bare_fold
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from consumers.performance import consume
from engine.store.database import Database
from gridpatrol.cli import main
from schemas import facts


def fold_nothing(
    database: Database, news: Sequence[facts.Step], between: Callable[[], None] = lambda: None
) -> consume.FoldCounts:
    """Take the place of `consume.fold_messages`."""
    print(len(news), time.monotonic(), flush=True)
    return consume.FoldCounts(len(news), 0, 0)


if __name__ == "__main__":
    consume.fold_messages = fold_nothing
    sys.argv[1:] = ["serve"]
    main()
