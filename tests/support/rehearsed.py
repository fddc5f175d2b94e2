"""Imported: in this process, and in those forked from it, the rules count as tried under every pack.

Trying them takes two CPU seconds for each pack and day, and they are the same rules in hundreds of tests. That they are
tried, and what becomes of a start under which one fails, is shown by tests/unit/test_rehearsal.py and by those that set
`tried` back; processes that are executed, and not forked, try them as everywhere.
"""

from __future__ import annotations

from engine import rehearsals


class Everything(set[tuple[str, int]]):
    """Every pack on every day."""

    def __contains__(self, what: object) -> bool:
        return True


rehearsals.tried = Everything()
