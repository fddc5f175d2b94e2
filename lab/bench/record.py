"""The statements of the engine as it was at f28de43, recorded once, for whatever came after to be compared with.

Enters: a work tree of f28de43, on the path in front of this one. Leaves: every statement with its parameters, from an
empty database on, as the driver got them: upgrade, pack, then events in batches of 500 with the first 1,000 to warm up.

    git worktree add ../old f28de43
    PYTHONPATH=../old .venv/bin/python lab/bench/record.py sqlite lab/bench/f28de43.sqlite.xz
    PYTHONPATH=../old .venv/bin/python lab/bench/record.py postgresql lab/bench/f28de43.postgresql.xz

Its parts are those of that tree. `recorded.py` executes what it wrote.
"""

from __future__ import annotations

import lzma
import sys
from contextlib import ExitStack
from importlib import import_module
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

MODULES = (
    "consumers.alerts",
    "consumers.performance",
    "engine.intake",
    "engine.runtime",
    "engine.settings",
    "engine.store.database",
    "engine.store.recording",
    "gridpatrol.bench",
    "gridpatrol.opening",
)
"""As they were called then."""
BATCH, WARM, EVENTS = 500, 1_000, 4_000


def main(name: str, target: Path) -> None:
    """Record one database."""
    then = {name: import_module(name) for name in MODULES}
    bench = then["gridpatrol.bench"]
    consumers = [then["consumers.performance"].consume, then["consumers.alerts"].consume]
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        url = f"sqlite:///{folder}/recorded.db"
        if name == "postgresql":
            sys.path.append(str(Path(__file__).parents[2]))
            from lab.parts import postgres  # the server is no part of what is recorded

            server = stack.enter_context(postgres.running_server())
            url = stack.enter_context(postgres.fresh_database(server))
        database = then["engine.store.database"].open_database(url)
        recorder = then["engine.store.recording"].Recorder(database)
        database.upgrade()
        settings = then["engine.settings"].Settings(pack="weiyang", log_level="WARNING")
        engine = then["engine.runtime"].Engine(database, settings, consumers)
        policy = then["gridpatrol.opening"].install_if_empty(engine, bench.BEGIN_MS - 1)
        raws, prepared = bench.lives(policy), 0
        for done in range(BATCH, WARM + EVENTS + 1, BATCH):
            now = bench.BEGIN_MS + done * bench.STEP_MS
            received = [then["engine.intake"].receive(raw, "bench", engine.count) for raw in islice(raws, BATCH)]
            engine.append([submission for submission, *_ in received], now)
            while engine.work(now) is not None:
                pass
            engine.feed()
            if done == WARM:
                prepared = len(recorder.transactions)
        database.close()
    # Texts are few: each transaction names them by number.
    texts: dict[str, int] = {}
    transactions = [
        [
            one.write,
            [[texts.setdefault(said.text, len(texts)), said.parameters, said.many] for said in one.statements],
        ]
        for one in recorder.transactions
    ]
    body = msgspec.msgpack.encode(
        {"events": EVENTS, "prepared": prepared, "texts": list(texts), "transactions": transactions},
        enc_hook=str,  # of a name that SQLAlchemy has quoted
    )
    target.write_bytes(lzma.compress(body, preset=9))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
