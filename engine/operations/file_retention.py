"""How long files stay to which nobody refers, and what came of files that were never ended.

An event may come late, by as much as the active pack believes of a phone that was offline, and may wait as long as the
pack lets it. A file goes `file_days` after that. So does one that no row knows: a process was killed between putting it
in place and writing it down, and its sender was not told that it is here; or an older database was restored.
"""

import logging
from collections.abc import Callable

from engine.clock import now_ms
from engine.loop import Loop
from engine.metrics.door import FileCounters
from engine.policies import Policies
from engine.settings import Settings
from engine.store import backup_file, sent_files
from engine.store.database import FAILURES, Connection, Database
from engine.store.meta import read_meta
from engine.uploads.store import PREFIXES, FileStore, StoreAway
from engine.views.names import active_names
from engine.views.questions import NoActivePack

log = logging.getLogger(__name__)

EVERY_S = 30.0
"""How often it is looked whether something has to go."""
MOST = 100
"""Files that go between two looks at everything else."""
DAY_MS = 86_400_000


class FileRetention(Loop):
    """A thread of its own, since a bucket may take its time: it removes what has to go, and looks at one folder of the
    store in turn for files that no row knows."""

    away_s = EVERY_S

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: FileStore,
        counters: FileCounters,
        now: Callable[[], int] = now_ms,
    ) -> None:
        super().__init__("file-retention")
        self.settings, self.database, self.store, self.counters = settings, database, store, counters
        self._policies = Policies()
        self._now = now  # in ms UTC: a clock that has jumped must not remove them
        self._turn = 0

    def run_once(self) -> float:
        """Remove some of what has to go now."""
        return 0.0 if self.clear(self._now()) else EVERY_S

    def is_passing(self, error: Exception) -> bool:
        """Database or store may come back."""
        return isinstance(error, (*FAILURES, StoreAway))

    def clear(self, now: int) -> int:
        """Remove some of what has to go as of an instant (ms UTC). How many files to which nobody refers."""
        database = self.database
        with database.read() as connection:
            installation = read_meta(connection, backup_file.INSTALLATION)
            before = self.before(connection, now)
        if installation is None:
            return 0  # no file has ever come
        self.store.claim(installation, begin=False)
        self._count("expired", self.store.expire(now - self.settings.upload_days * DAY_MS))
        if before is None:
            return 0
        self._count("unknown", self.sweep(PREFIXES[self._turn], before))
        self._turn = (self._turn + 1) % len(PREFIXES)
        gone = 0
        while gone < MOST and (more := self.remove(before)):
            gone += more
        self._count("unreferred", gone)
        return gone

    def before(self, connection: Connection, now: int) -> int | None:
        """Files to which nobody refers go where they were sent before this instant; None: no pack says so yet."""
        try:
            register = active_names(connection, self._policies).register
        except NoActivePack:
            return None
        options = register.pack.options
        late = max([options.offline_ms, *(role.offline_ms or 0 for role in register.pack.roles)])
        return now - late - options.parked_ms - self.settings.file_days * DAY_MS

    def remove(self, before: int) -> int:
        """Remove a file that was sent before an instant and to which nobody refers; how many rows those were.

        The bytes go before the transaction ends: who writes the row anew meanwhile waits for it, and looks for them
        then.
        """
        with self.database.read() as connection:
            if not sent_files.unreferred(connection, before, 1):
                return 0
        with self.database.begin() as connection:
            rows = sent_files.unreferred(connection, before, 1)
            for row in rows:
                sent_files.remove(connection, row.sha256, row.principal)
            for sha256 in sent_files.without_sender(connection, {row.sha256 for row in rows}):
                self.store.remove(sha256)
        return len(rows)

    def sweep(self, prefix: str, before: int) -> int:
        """Remove the files of one folder that are older than an instant and of which no row is known."""
        found = self.store.listed(prefix)
        with self.database.read() as connection:
            known = sent_files.sizes(connection, prefix)
        unknown = [name for name, (_, since) in found.items() if name not in known and since < before]
        for sha256 in unknown:
            self.store.remove(sha256)
        return len(unknown)

    def _count(self, why: str, number: int) -> None:
        if number:
            self.counters.removed.labels(why).inc(number)
            log.info("files.removed", extra={"why": why, "files": number})
