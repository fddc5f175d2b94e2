"""What an installation has done so far, in one line, for somebody who watches it.

In: its database, the addresses of its workers. Out: counts; lines in Chinese and English.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Sequence
from typing import NamedTuple

from engine.clock import now_ms
from engine.store.database import Database

LAG = re.compile(r"^gridpatrol_inbox_lag_records\S* (\S+)$", re.MULTILINE)
ANSWER_S = 2.0


class Figures(NamedTuple):
    """Counts since the database was made, and how things stand."""

    events: int  # that were decided
    facts: int  # steps
    folded: int  # of them, those that are in the figures
    open: int
    overdue: int
    alerts: int  # that were raised
    told: int  # lines of the feed; at night some wait for the morning
    letters: int

    def line(self, lag: int, per_s: float) -> str:
        """For people."""
        return (
            f"事件 events {self.events:,} (+{per_s:.1f}/s)  未决 waiting {lag:,}  事实 facts {self.facts:,}  "
            f"入统 folded {self.folded:,}  在办 open {self.open:,}  超期 overdue {self.overdue:,}  "
            f"告警 alerts {self.alerts:,} (已发 told {self.told:,})  死信 dead letters {self.letters:,}"
        )


def read_figures(database: Database) -> Figures:
    """Count, on one snapshot."""
    now = now_ms()
    with database.read() as connection:

        def count(sql: str) -> int:
            return int(connection.exec_driver_sql(sql).scalar_one() or 0)

        return Figures(
            count("SELECT count(*) FROM seen"),
            count("SELECT sum(n) FROM partitions"),
            count("SELECT sum(n) FROM positions WHERE consumer = 'performance'"),
            count("SELECT count(*) FROM cases WHERE open"),
            count(f"SELECT count(*) FROM cases WHERE open AND due_at < {now}"),
            count("SELECT count(*) FROM alerts"),
            count("SELECT count(*) FROM deliveries"),
            count("SELECT count(*) FROM dead_letters"),
        )


def read_lag(workers: Sequence[str]) -> int:
    """Records in the log that nobody has decided, as these workers know it; those that do not answer know nothing."""
    total = 0.0
    for url in workers:
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=ANSWER_S) as answer:
                total += sum(map(float, LAG.findall(answer.read().decode())))
        except OSError:
            continue
    return int(total)
