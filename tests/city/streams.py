"""The same record, told badly: doubled, delayed, or with its targets shuffled.

In: events as JSON texts in time order, or the CSV. Out: what a careless network or a forger would have sent.
"""

import csv
import gzip
import json
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from tests.city.judge import rows

OFFLINE_S = 72 * 3600
"""How late an event may arrive and still be believed, in seconds."""


def doubled(events: Iterable[bytes]) -> Iterator[bytes]:
    """Every event twice, as a phone sends it that never saw the answer."""
    for event in events:
        yield event
        yield event


def delayed(events: Iterable[bytes], seed: int, most_s: int = OFFLINE_S) -> list[bytes]:
    """Each event arrives up to `most_s` s after it occurred, told by `recordedtime`; in order of arrival."""
    chance = random.Random(seed)
    late = []
    for number, event in enumerate(events):
        late_event = json.loads(event)
        arrival = datetime.fromisoformat(late_event["time"]) + timedelta(seconds=chance.randint(0, most_s))
        late_event["recordedtime"] = arrival.isoformat()
        late.append((arrival, number, json.dumps(late_event, separators=(",", ":")).encode()))
    return [event for _, _, event in sorted(late)]


def shuffle_targets(source: Path, to: Path, seed: int, most: int | None = None) -> Path:
    """The CSV, or its first rows, with the targets dealt out anew among the cases that have one; nothing else is
    touched."""
    table = rows(source)[:most]
    due = [row for row in table if row["target_dt"]]
    targets = [row["target_dt"] for row in due]
    random.Random(seed).shuffle(targets)
    for row, target in zip(due, targets, strict=True):
        row["target_dt"] = target
    with gzip.open(to, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return to
