"""The database: opening SQLite or PostgreSQL, transactions, and the schema.

SQLite runs in WAL mode with synchronous=FULL, or a power cut could take what a 202 has promised.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, event, exc, inspect, make_url, text
from sqlalchemy import Connection as Connection  # for readers outside the store, which do not import SQLAlchemy

from engine import files
from engine.errors import DatabaseAway, DatabaseUnusable, SchemaMismatch
from engine.store.deflating import inflated
from engine.store.driver_quirks import run
from engine.store.sheet_table import sheets
from engine.store.watched_tables import watched

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
FAILURES = (exc.DBAPIError, exc.StatementError)
"""What a statement or a commit may raise."""
REFUSED = (exc.DataError, exc.IntegrityError, exc.NotSupportedError, exc.InternalError)
"""Errors about rows that the database will not take, however often they are tried."""
TAKEN = exc.IntegrityError
"""A key exists already."""
REMEDIES = {
    "certificate": "Check sslrootcert in GRIDPATROL_DATABASE, and that it names the host as the certificate does.",
    "password authentication": "Check the user in GRIDPATROL_DATABASE and the password in database_password_file.",
    "no encryption": "Add sslmode=verify-full and sslrootcert=FILE to GRIDPATROL_DATABASE.",
    "SSL": "Check sslmode in GRIDPATROL_DATABASE, and that the server has ssl = on.",
}
"""Remedies, by a word in the message of the server or the driver."""
RESTORE = (
    "Stop its server, keep the files as they are, and restore a backup: see docs/operations.md, Backup and restore."
)
"""What to do about a damaged database."""
WRITABLE = "Let the account of this process write the database, and for SQLite its folder too."
"""What to do about one that cannot be written."""
LOCKED = ("is locked", "55P03")
FAULTS = (
    (("malformed", "XX001", "XX002", "user-defined function raised exception"), "the database is damaged", RESTORE),
    (("not a database",), "the file is no SQLite database, or is damaged", f"Check GRIDPATROL_DATABASE. {RESTORE}"),
    (("readonly database", "25006"), "the database cannot be written", WRITABLE),
    (
        LOCKED,
        "another program holds a lock on the database",
        "End that program: it may be a shell of the database with a transaction left open.",
    ),
    (
        ("is full", "53100"),
        "the disk of the database is full",
        "Make room on it; what was answered with 202 is stored.",
    ),
    (
        ("disk I/O error", "58030"),
        "the disk of the database fails",
        "Look at the disk: its room, its quota, its errors.",
    ),
    (
        ("unable to open database file",),
        "the file of the database cannot be opened",
        "Check that file and folder are there, and that this account may read and write both.",
    ),
)
"""What is wrong with a file, a disk or a server, and what to do: by words of SQLite and by states of PostgreSQL."""
LOCK_S = 30
"""How long SQLite waits for a lock."""
LATE = "flushed late"
"""What is noted of a connection whose commits do not wait for the disk."""
USUAL_PAGES = 4000
"""After so many pages SQLite's journal is written into its file: 16 MiB. An event that comes alone writes thirty pages,
most of them the same ones as the event before it: the more often each is in the journal, the fewer are copied. Its own
1,000 pages are a copy for every thirtieth event; with more than these a copy holds the writer up for longer."""
JOURNAL_PAGES = 16_384
"""So many pages SQLite's journal has at least while commits do not wait for the disk: 64 MiB."""
VACUUM_S = 20
"""How long a vacuum may take while somebody waits for it; what it has done stays done."""
CHECKED_BYTES = 1 << 30
"""A SQLite file of up to this size is read whole before a server opens its door: that takes seconds."""
AWAY = (exc.OperationalError, exc.InterfaceError)
"""Errors while the database is away, among other things."""
DriverError, StoreError = exc.DBAPIError, exc.SQLAlchemyError
"""Errors of the driver; all errors of SQLAlchemy."""
PATIENCE = {
    "connect_timeout": 10,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""How long a silent PostgreSQL server is waited for, in libpq's parameters; the default is a quarter of an hour. The
URL goes before these."""


def refuses(error: Exception) -> bool:
    """Whether the database refuses what was written, so that no retry cures it."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    if state.startswith("25") or state in ("XX001", "XX002"):
        return False  # the transaction or a damaged page was at fault, not the rows: ended by a time limit, read only
    return isinstance(error, REFUSED) or state.startswith("54")  # 54: too large for this server


def unusable(error: Exception) -> DatabaseUnusable | None:
    """What people are told of an error that a file, a disk or a server causes; None: it is a defect, or no error of the
    driver."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    of_sqlite = isinstance(original, sqlite3.Error)
    if not (of_sqlite or isinstance(error, exc.DBAPIError)):
        return None
    cause = " ".join(str(original).split()).rstrip(".?")
    shown = cause if of_sqlite else getattr(original, "sqlstate", None) or ""
    for signs, what, remedy in FAULTS:
        if any(sign in shown for sign in signs):
            kind = DatabaseAway if signs == LOCKED else DatabaseUnusable
            return kind(f"{what}: {cause}", remedy=remedy)
    if of_sqlite or refuses(error) or not isinstance(error, AWAY):
        return None
    return DatabaseAway(f"the database is away: {cause}")


class Database:
    """An open database: `sqlite` or `postgresql`."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        # Whether something that was erased is still in the journal. None: not known, for a process may have been killed
        # before it emptied it.
        self.holds_erased: bool | None = None if self.dialect == "sqlite" else False
        if self.dialect not in ("sqlite", "postgresql"):
            raise DatabaseUnusable(f"{self.dialect}: use sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")
        if self.dialect == "sqlite" and self.url.database in (None, "", ":memory:"):
            raise DatabaseUnusable("sqlite in memory keeps nothing: name a file, e.g. sqlite:///var/gridpatrol.db")
        # Errors are logged, and their parameters are rows, some of them about people: hide_parameters.
        if self.dialect == "sqlite":
            files.make(Path(str(self.url.database)))
            options: dict[str, Any] = {"timeout": LOCK_S, "check_same_thread": False}
            self.db = create_engine(self.url, hide_parameters=True, connect_args=options)
            event.listen(self.db, "connect", _open_sqlite)
            event.listen(self.db, "begin", _begin_sqlite)
        else:
            self.url = self.url.set(drivername="postgresql+psycopg")
            options = {"prepare_threshold": 2} | {k: v for k, v in PATIENCE.items() if k not in self.url.query}
            self.db = create_engine(
                self.url, hide_parameters=True, pool_size=8, pool_pre_ping=False, connect_args=options
            )
            event.listen(self.db, "connect", _open_postgres)
        # On SQLite one connection stays with those who write. To fetch it from the pool and give it back, which rolls
        # back once more, costs an event that comes alone a fifth of its CPU time. A server may end one that is kept.
        self._for_writing: list[Connection] = []
        self._late = False  # commits do not wait for the disk
        event.listen(self.db, "engine_disposed", self._let_go)

    def end_silence(self, after_ms: int) -> None:
        """Let PostgreSQL end a transaction of this process that is silent for so long, and give its locks to others. A
        process that was stopped or cut off would hold them for ever."""
        if self.dialect == "sqlite":
            return

        def limit(raw: Any, _record: object) -> None:
            raw.execute(f"SET SESSION idle_in_transaction_session_timeout = {after_ms}")
            raw.commit()

        event.listen(self.db, "connect", limit)
        self.db.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back on any error."""
        try:
            connection = self._for_writing.pop()
        except IndexError:
            options: dict[str, Any] = {"gridpatrol_write": True}
            connection = self.db.connect().execution_options(**options)
        try:
            if connection.info.get(LATE, False) is not self._late:
                _flush_late(connection, late=self._late)
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()  # it may be broken: the pool finds out
            raise
        if self._for_writing or self.dialect != "sqlite":
            connection.close()
        else:
            self._for_writing.append(connection)

    @contextmanager
    def read(self, *, whole: bool = False) -> Iterator[Connection]:
        """A read transaction on one snapshot. `whole`: it reads tables from end to end."""
        with self.db.connect() as connection:
            if self.dialect == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                if whole and self.dialect == "postgresql":
                    connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
                yield connection

    @contextmanager
    def flushed_at_end(self) -> Iterator[None]:
        """Until the block ends no commit waits for the disk, and SQLite writes what changed into its file more seldom.
        At the end all is on the disk.

        After a power cut the last commits may be missing, none without those after it. What was committed before the
        block stays. PostgreSQL flushes within a second by itself, and so it does at the end.
        """
        self._late = True
        try:
            yield
        finally:
            self._late = False
            if self.dialect == "sqlite":
                self._empty_journal(within_s=1.0)

    def close(self) -> None:
        """Close every connection."""
        self.db.dispose()

    def _let_go(self, _: object) -> None:
        """Close the connection for writing with those of its pool."""
        while self._for_writing:
            connection = self._for_writing.pop()
            connection.detach()
            connection.close()

    # ---- what was erased ------------------------------------------------------------------------------------

    def forget_erased(self, table: str, within_s: float = 0.0) -> bool:
        """Take what a committed transaction has erased of a table out of what the database keeps beside its rows.

        SQLite overwrites it in its file at once, and has it in its journal (`-wal`) until that is emptied, which waits
        for readers; False where one reads for longer than `within_s`, and it may be asked again. PostgreSQL has it in
        dead rows, which are vacuumed: an error of FAILURES where somebody holds the table for as long, or it takes
        VACUUM_S. Its journal, archives and backups are its own.
        """
        if self.dialect == "postgresql":
            with self.db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(f"SET lock_timeout = {int(within_s * 1000)}")
                connection.exec_driver_sql(f"SET statement_timeout = {VACUUM_S * 1000}")
                try:
                    connection.exec_driver_sql(f"VACUUM {table}")
                finally:
                    connection.exec_driver_sql("RESET lock_timeout")
                    connection.exec_driver_sql("RESET statement_timeout")
            return True
        self.holds_erased = not self._empty_journal(within_s)
        return not self.holds_erased

    def _empty_journal(self, within_s: float) -> bool:
        """Write all of SQLite's journal into its file, to the disk; False where somebody reads for longer."""
        pooled = self.db.raw_connection()  # outside of any transaction, or its own would hold the journal
        try:
            cursor = pooled.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {int(within_s * 1000)}")
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {LOCK_S * 1000}")
        finally:
            pooled.close()
        return not busy

    # ---- the schema -----------------------------------------------------------------------------------------

    def upgrade(self) -> None:
        """Bring the schema to this release; on an empty database, create it."""
        stands, wanted = self.revisions()
        if stands == wanted:
            return
        # Alembic takes a fifth of a command's start, and hardly any start has something to migrate.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.db.connect() as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def revisions(self) -> tuple[str | None, str]:
        """The revision of the schema, and the one that this release needs. SchemaMismatch where this release does not
        know the schema's: a newer one made it."""
        known = sorted(path.name[:4] for path in MIGRATIONS.glob("versions/[0-9]*.py"))
        wanted = known[-1]
        with self.db.connect() as connection:
            made = inspect(connection).has_table("alembic_version")
            found = connection.execute(text("SELECT version_num FROM alembic_version")) if made else None
            stands = found.scalar() if found is not None else None
        if stands is not None and stands not in known:
            raise SchemaMismatch(
                f"the database stands at revision {stands}, which this release does not know; it needs {wanted}",
                remedy="Use the release that made the tables, or a newer one; or restore a backup of before.",
            )
        return stands, wanted

    def check_schema(self) -> None:
        """SchemaMismatch for a schema of another release."""
        stands, wanted = self.revisions()
        if stands != wanted:
            raise SchemaMismatch(f"the database stands at revision {stands or 'none'}, this release needs {wanted}")

    def check_pages(self, most_bytes: int | None = None) -> None:
        """DatabaseUnusable where a page of a SQLite file is damaged; a file of more than `most_bytes` is not read.
        PostgreSQL looks at each page when it reads it."""
        if self.dialect != "sqlite":
            return
        if most_bytes is not None and Path(str(self.url.database)).stat().st_size > most_bytes:
            log.info("the file of the database is large and was not checked; `gridpatrol verify` reads all of it")
            return
        with self.db.connect() as connection:
            found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
        if found != "ok":
            raise DatabaseUnusable(f"the database is damaged: {' '.join(found.split())}", remedy=RESTORE)

    def size(self) -> int:
        """Bytes on the disk; of SQLite without what is not yet in the file itself."""
        if self.dialect == "sqlite":
            return Path(str(self.url.database)).stat().st_size
        with self.db.connect() as connection:
            return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())

    def create_fresh(self) -> None:
        """Create the tables without migrations, for tests, which also compare both ways."""
        for table in (sheets, watched):  # of files of their own; their metadata are every table's
            table.metadata.create_all(self.db)


def _open_sqlite(raw: Any, _record: object) -> None:
    """Leave transactions to `_begin_sqlite`. Write ahead, durably; what goes is overwritten, in pages that stay and in
    pages that are given back."""
    raw.isolation_level = None
    raw.create_function("inflated", 1, inflated, deterministic=True)
    cursor = raw.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA wal_autocheckpoint={USUAL_PAGES}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _open_postgres(raw: Any, _record: object) -> None:
    """Find rows by their index, however small a table was when its statement was planned.

    A plan is kept by its connection until the server has new statistics, a minute later or more. One that was made for
    an empty table reads all of it, again and again, while it grows by ten thousand rows. What has no index is read
    whole all the same; its cost is then so high that the server would compile it, which takes longer than to run it.
    """
    raw.execute("SET SESSION enable_seqscan = off")
    raw.execute("SET SESSION jit = off")
    raw.commit()


def _flush_late(connection: Connection, *, late: bool) -> None:
    """Let commits of a connection not wait for the disk, or wait again. It is in no transaction."""
    raw: Any = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        raw.execute(f"PRAGMA synchronous={'NORMAL' if late else 'FULL'}")
        raw.execute(f"PRAGMA wal_autocheckpoint={JOURNAL_PAGES if late else USUAL_PAGES}")
    else:
        raw.execute("SET SESSION synchronous_commit = off" if late else "RESET synchronous_commit")
        raw.commit()
    connection.info[LATE] = late


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the write lock at once: a lock upgrade in mid-transaction could not wait."""
    write = connection.get_execution_options().get("gridpatrol_write")
    run(connection, "BEGIN IMMEDIATE" if write else "BEGIN", ())


def url_of_file(path: Path) -> str:
    """The URL of a SQLite file, whatever characters its name has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def file_of(url: str) -> Path | None:
    """The SQLite file that a URL names; None: it is a server's database."""
    parts = make_url(url)
    return Path(parts.database or "") if parts.get_backend_name() == "sqlite" else None


def open_database(url: str) -> Database:
    """A database that answers. DatabaseUnusable, with the cause, if it does not."""
    try:
        database = Database(url)
    except OSError as error:
        raise DatabaseUnusable(f"cannot make {error.filename}: {error.strerror}", remedy=WRITABLE) from error
    try:
        with database.db.connect() as connection:
            connection.execute(text("SELECT 1"))
    except exc.DBAPIError as error:
        database.close()
        shown, cause = database.url.render_as_string(hide_password=True), " ".join(str(error.orig).split())
        known = unusable(error)
        remedy = next((remedy for word, remedy in REMEDIES.items() if word in cause), "")
        kind = DatabaseUnusable if remedy or known is None else type(known)
        remedy = remedy or (known or kind).remedy
        raise kind(f"cannot open {shown}: {cause.rstrip('.?')}", remedy=remedy) from error
    return database
