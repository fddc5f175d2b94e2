"""On PostgreSQL rows are found by their index, while tables grow too, and those of all partitions at once."""

from __future__ import annotations

from engine.store import recording
from engine.store.database import Database, open_database
from lab import runs


def read_whole(database: Database) -> dict[str, int]:
    """The rows of each table that were read by going through all of it, since the database was made."""
    with database.read() as connection:
        sql = "SELECT relname, seq_tup_read FROM pg_stat_user_tables"
        return {name: count for name, count in connection.exec_driver_sql(sql)}


GROWING = ("cases", "facts", "seen", "inbox", "alerts", "notices", "deliveries", "outcomes", "contributions", "figures")


def test_what_is_decided_and_followed_reads_no_table_whole_while_it_grows(postgres_url: str) -> None:
    """Statements are planned when their tables are empty, and their plans are kept for a minute or more."""
    with runs.engine_on(postgres_url, 4, 10, consumers=runs.consumers()) as engine:
        runs.replayed(engine, runs.month(20))
        assert len(runs.steps(engine)) > 100
    database = open_database(postgres_url)  # what a connection has read is known when it is closed
    try:
        whole = read_whole(database)
    finally:
        database.close()
    assert {name: whole[name] for name in GROWING} == dict.fromkeys(GROWING, 0)


def test_what_is_due_in_several_partitions_is_asked_for_once_in_a_slice(postgres_url: str) -> None:
    """Each way to the server costs as much as a step: after midnight something is due in every partition."""
    with runs.engine_on(postgres_url, 8) as engine:
        recorder = recording.Recorder(engine.database)
        runs.replayed(engine, runs.month(20))
    slices = [
        [each for each in transaction.statements if "next_at < " in each.text] for transaction in recorder.transactions
    ]
    ends = [
        sum("min(next_at)" in each.text for each in transaction.statements) for transaction in recorder.transactions
    ]
    assert max(map(len, slices)) == max(ends) == 1
    assert max(len(each.parameters[0]) for asked in slices for each in asked) > 1, "no slice had several partitions"
