"""Files that an operator changes while the process runs.

An editor or a `cat >` empties a file before it fills it, and half of a TOML file is often a TOML file: read in
between, a list of principals has nobody in it. A change is told once nobody has written to the files for `STILL_MS`.
"""

from collections.abc import Iterable
from pathlib import Path

from engine.clock import now_ms

STILL_MS = 200
"""How long, in milliseconds, files must have held still before a change of them is told."""

State = tuple[tuple[int, int, int] | None, ...]
"""Of each file when it was written to, its size and which it is; None for one that is not there."""


class WatchedFiles:
    """Whether some files have changed since they were last read."""

    def __init__(self, files: Iterable[str | Path]) -> None:
        self.watch(files)

    def watch(self, files: Iterable[str | Path]) -> None:
        """From now on these, compared with what they are now."""
        self.files = [Path(file) for file in files]
        self._state = self._look()

    def changed(self) -> bool:
        """Whether they differ from what they were when this last said so, and hold still. A time of writing that is yet
        to come tells nothing: some clock is wrong."""
        state, now = self._look(), now_ms()
        being_written = any(0 <= now - found[0] // 1_000_000 < STILL_MS for found in state if found)
        if state == self._state or being_written:
            return False
        self._state = state
        return True

    def _look(self) -> State:
        state: list[tuple[int, int, int] | None] = []
        for file in self.files:
            try:
                found = file.stat()
                state.append((found.st_mtime_ns, found.st_size, found.st_ino))
            except OSError:
                state.append(None)
        return tuple(state)
