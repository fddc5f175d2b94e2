"""What the database alone takes for the statements of the engine as it was at f28de43.

Enters: the URL of an empty database. Leaves: CPU time of an event's statements, executed by the same driver without
anything around them. It is a yardstick that does not move: whoever saves statements does not make it shorter.
`record.py` says how they were written down.
"""

from __future__ import annotations

import lzma
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.store import recording
from engine.store.database import open_database
from engine.store.recording import Statement, Transaction
from gridpatrol import cpu

FOLDER = Path(__file__).parent


class Recording(Struct):
    """As `record.py` writes it: `prepared` transactions come before the clock runs; statements name their texts."""

    events: int
    prepared: int
    texts: list[str]
    transactions: list[tuple[bool, list[tuple[int, Any, bool]]]]


def read_recording(name: str) -> tuple[Recording, list[Transaction]]:
    """What was recorded of a database."""
    with lzma.open(FOLDER / f"f28de43.{name}.xz") as file:
        found = msgspec.msgpack.decode(file.read(), type=Recording)
    return found, [
        Transaction([Statement(found.texts[text], _given(said, many), many) for text, said, many in statements], write)
        for write, statements in found.transactions
    ]


def _given(parameters: Any, many: bool) -> Any:
    """Parameters as the driver got them: rows are tuples."""
    if many:
        return [tuple(row) for row in parameters]
    return tuple(parameters) if isinstance(parameters, list) else parameters


def statements_cpu_ms(name: str, url: str) -> float:
    """CPU ms of an event's statements, the server's included, on an empty database."""
    found, transactions = read_recording(name)
    database = open_database(url)
    try:
        for transaction in transactions[: found.prepared]:
            recording.execute(database, transaction)
        backend = recording.backend_pid(database)
        server, own = cpu.of_server(backend) or 0.0, time.process_time()
        for transaction in transactions[found.prepared :]:
            recording.execute(database, transaction)
        own, server = time.process_time() - own, (cpu.of_server(backend) or 0.0) - server
    finally:
        database.close()
    return 1000 * (own + server) / found.events
