"""The thread that chains and anchors, beside a door. It shares no transaction with a slice, and no slice waits for it
but for the lock of SQLite."""

import logging
from collections.abc import Callable
from pathlib import Path

from consumers.audit import anchors
from consumers.audit.chainer import BATCH, Chainer
from engine.clock import now_ms
from engine.errors import GridpatrolError, LeaseTaken
from engine.lease import Lease, LeaseName
from engine.loop import Loop
from engine.store import chains
from engine.store.chains import AnchorRow
from engine.store.database import Database, DriverError, refuses

log = logging.getLogger(__name__)

TURN_S = 1.0
"""How often it looks for what is to be chained, where no more waits: what comes meanwhile shares a transaction, and its
pages. A turn of its own for every few steps costs each of them several times as much."""
BUSY_S = 0.02
"""From one turn to the next where there is more: others write meanwhile."""
TELL_S = 60.0
"""How often it tries to tell an anchor where that failed."""
STAND_BY_S = 5.0
CHAINS = LeaseName("chains the steps of", ".chain.lease", 0x6C696E6B)  # "link"
Publish = Callable[[list[AnchorRow]], object]
"""Puts anchors onto the topic, durably."""


class ChainLoop(Loop):
    """Takes turns as long as its process lives. `file`: of the anchors; None: there is none. `leased`: other processes
    may want its place, too; they stand by."""

    def __init__(
        self,
        database: Database,
        file: Path | None,
        publish: Publish | None = None,
        *,
        leased: bool,
        now: Callable[[], int] = now_ms,
    ) -> None:
        super().__init__("chain")
        self.database, self.file, self.publish, self.leased, self.now = database, file, publish, leased, now
        self.chainer = Chainer(database, now)
        self.lease: Lease | None = None
        self.told_s = -TELL_S  # when the last telling failed
        self.untold = ""  # why

    def run_once(self) -> float:
        """Chain what there is; when all is chained, see to the anchor of the day."""
        if self.leased:
            try:
                self.lease = self.lease or Lease(self.database, CHAINS, 0.0)
                self.lease.keep(self.database)
            except LeaseTaken:
                self.lease = None
                return STAND_BY_S
        if self.chainer.turn() >= BATCH:
            return BUSY_S
        with self.database.read() as connection:
            wanted = anchors.due(connection, self.now())
        if wanted:
            with self.database.begin() as connection:
                row = anchors.make(connection, self.now())
            log.info("anchor.made", extra={"number": row.number})
        if self.clock() - self.told_s >= TELL_S:
            self.tell()
        return TURN_S

    def tell(self) -> None:
        """Tell anchors that were not told yet. What fails is tried again, and keeps nothing from being chained."""
        try:
            if self.file is not None:
                anchors.append(self.database, self.file)
            if self.publish is not None:
                with self.database.read() as connection:
                    rows = chains.anchors_untold(connection, "published")
                if rows:
                    self.publish(rows)
                    with self.database.begin() as connection:
                        chains.mark_told(connection, "published", [row.number for row in rows])
        except (OSError, GridpatrolError) as error:
            self.told_s = self.clock()
            if str(error) != self.untold:
                log.error("anchor.not_told", extra={"why": str(error)})
            self.untold = str(error)
        else:
            self.untold = ""

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (GridpatrolError, DriverError)) and not refuses(error)

    def release(self) -> None:
        if self.lease is not None:
            self.lease.close()
