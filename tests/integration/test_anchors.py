"""Where the chains stand is told to others, once a day; and what a restore lacks of that is said by its chains.

In: databases on which a loop takes turns, files that cannot be written, kills, a topic, backups. Out: lines of anchors,
epochs, statuses of the commands and the runs that they leave.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from consumers.audit import anchors, loop
from consumers.audit.loop import ChainLoop
from engine import failpoints
from engine.clock import now_ms
from engine.cluster import clients
from engine.cluster.anchor_topic import AnchorTopic
from engine.errors import ALTERED
from engine.runtime import Engine
from engine.settings import Settings, read_settings
from engine.store import chains, verifications
from engine.store.chains import AnchorRow
from engine.store.database import Database, open_database
from gridpatrol.cli import main
from gridpatrol.run.chaining import chaining
from schemas.messages import Anchor
from schemas.topics import Topics
from tests.integration.test_chains import looked, told
from tests.integration.test_door import report
from tests.integration.test_erasure import NAME, name_people
from tests.integration.test_migrations import to
from tests.support.builders import DAY, subject
from tests.support.serving import prepared, tell, wait_until

MORNING = now_ms() // anchors.DAY_MS * anchors.DAY_MS + 3_600_000
"""An hour after midnight UTC."""


def ended(*words: object, status: int = 0) -> str:
    """What a command printed that ends with this status."""
    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="gridpatrol")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result.stdout


@contextmanager
def prepared_again(url: str) -> Iterator[Database]:
    """The database of a run that has ended."""
    database = open_database(url)
    try:
        yield database
    finally:
        database.close()


class Clock:
    """The wall clock of a test, ms UTC."""

    def __init__(self) -> None:
        self.now = MORNING

    def __call__(self) -> int:
        return self.now


def turned(chain: ChainLoop) -> None:
    """Turns until it rests."""
    while chain.run_once() == loop.BUSY_S:
        pass


def lines(file: Path) -> list[Anchor]:
    """The anchors of a file."""
    return [anchor for _, anchor in anchors.distinct(anchors.read_file(file))]


def rows(database: Database) -> list[AnchorRow]:
    with database.read() as connection:
        return chains.read_anchors(connection)


@pytest.mark.mechanism("M125")
def test_once_a_day_a_line_says_where_all_chains_stand(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url) as engine:
        clock, file = Clock(), tmp_path / "for-others" / "anchors.jsonl"
        chain = ChainLoop(engine.database, file, leased=False, now=clock)
        turned(chain)
        name_people(engine)
        turned(chain)
        assert len(lines(file)) == 1, "a day has one anchor"
        clock.now += anchors.DAY_MS
        turned(chain)
        first, second = lines(file)
        with engine.database.read() as connection:
            stands = {row.name: (row.epoch, row.n, row.hash) for row in chains.read_chains(connection).values()}
        assert {name: (end.epoch, end.n, end.hash) for name, end in second.chains.items()} == stands
        assert (first.number, second.number, second.at) == (1, 2, clock.now) and second.previous
        assert file.stat().st_mode & 0o077 == 0
        kept = anchors.read_file(file)
        assert told(looked(engine.database, kept)) == []
        assert rows(engine.database)[1].filed


def test_what_was_not_told_is_told_later_and_keeps_nothing_from_being_chained(sqlite_url: str, tmp_path: Path) -> None:
    with prepared(sqlite_url) as engine:
        clock, file = Clock(), tmp_path / "there" / "anchors.jsonl"
        (tmp_path / "there").write_text("no folder")
        more(engine, 76)
        chain = ChainLoop(engine.database, file, leased=False, now=clock)
        turned(chain)
        assert chain.untold and [row.filed for row in rows(engine.database)] == [False]
        name_people(engine)
        turned(chain)
        with engine.database.read() as connection:
            assert chains.count_waiting(connection) == 0
        (tmp_path / "there").unlink()
        failpoints.arm("anchor.after_file:raise")
        try:
            with pytest.raises(failpoints.Interrupted):
                anchors.append(engine.database, file)
        finally:
            failpoints.arm("")
        with file.open("ab") as out:
            out.write(b'{"anchor":"gridpatrol-anch')  # and a kill in the middle of a line
        assert anchors.append(engine.database, file) == 1
        whole = file.read_bytes().splitlines()
        assert len(whole) == 2 and whole[0] == whole[1]
        assert [anchor.number for anchor in lines(file)] == [1]


def test_a_server_chains_and_anchors_beside_its_door(sqlite_url: str, kept: Path) -> None:
    with prepared(sqlite_url) as engine:
        name_people(engine)
        with chaining(read_settings({}), engine.database, leased=False) as running:
            wait_until(lambda: kept.is_file() and lines(kept))
            more(engine, 76)

            def caught_up() -> bool:
                with engine.database.read() as connection:
                    return chains.count_waiting(connection) == 0

            wait_until(caught_up)
        assert running.failure is None and not running.is_alive()
        assert told(looked(engine.database, anchors.read_file(kept))) == []


def test_only_one_process_chains_and_another_takes_over(database_url: str) -> None:
    with prepared(database_url) as engine:
        first, second = (ChainLoop(engine.database, None, leased=True) for _ in range(2))
        turned(first)
        assert second.run_once() == loop.STAND_BY_S
        first.release()
        assert second.run_once() == loop.TURN_S
        second.release()


def test_anchors_go_to_their_topic_as_they_stand_in_the_file(
    sqlite_url: str, kafka_server: str, kafka_prefix: str
) -> None:
    settings = Settings(kafka=kafka_server, kafka_prefix=kafka_prefix)
    topic = Topics(kafka_prefix).anchors
    admin = clients.admin(settings)
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    with prepared(sqlite_url) as engine:
        more(engine, 76)
        publisher = AnchorTopic(settings)
        chain = ChainLoop(engine.database, None, publisher.publish, leased=False, now=Clock())
        turned(chain)
        publisher.close()
        [row] = rows(engine.database)
    assert row.published and not row.filed
    consumer = clients.consumer(settings, "test")
    consumer.subscribe([topic])
    found: list[Any] = []
    while not found:
        found = [message for messages in consumer.poll(500).values() for message in messages]
    consumer.close()
    [message] = found
    assert (message.key, message.value.decode()) == (b"1", row.body)
    assert dict(message.headers)["ce_type"] == b"gridpatrol.anchor.v1"


def test_a_database_of_before_is_chained_as_it_stands(database_url: str) -> None:
    with prepared(database_url) as engine:
        name_people(engine)
        database = engine.database
        to(database, "0039")
        database.upgrade()
        turned(ChainLoop(database, None, leased=False))
        found = looked(database)
        assert (told(found), found.waiting) == ([], 0)
        assert found.steps > 2 and found.letters > 1
        with database.read() as connection:
            salts = "SELECT count(*) FROM sealed WHERE body <> '' AND salt = ''"
            assert connection.exec_driver_sql(salts).scalar_one() == 2, "of events that no step has taken"
            assert any(link.sealed for link in chains.page_of_feed(connection, 0, 1000, False, 1000))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of anchors, as the settings name it."""
    monkeypatch.setenv("GRIDPATROL_ANCHORS", str(tmp_path / "anchors.jsonl"))
    return tmp_path / "anchors.jsonl"


def more(engine: Engine, number: int) -> None:
    """One more case."""
    then = now_ms() - DAY
    assert tell(engine, report(subject("WY01", number), then, reporter_name=NAME), then) == "done"


def test_a_restore_begins_chains_that_name_what_they_lack(
    sqlite_url: str, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, place = tmp_path / "a.db", f"sqlite:///{tmp_path / 'restored' / 'a.db'}"
    with prepared(sqlite_url) as engine:
        name_people(engine)
        ended("audit", "anchor", "--database", sqlite_url)
        ended("backup", backup, "--database", sqlite_url)
        more(engine, 77)
        ended("audit", "anchor", "--database", sqlite_url)
    assert len(lines(kept)) == 2
    ended("restore", backup, "--database", place)
    with prepared_again(place) as database:
        with database.read() as connection:
            epochs = [row for row in chains.read_epochs(connection) if row.name.startswith("steps/")]
        assert [row.epoch for row in epochs] == [1, 2]
        note = json.loads(epochs[1].note)
        assert note["anchor"] == 1 and note["lacks"]["steps/3"] == [epochs[0].n + 1, lines(kept)[1].chains["steps/3"].n]
    told_ = ended("audit", "verify", "--anchor", kept, "--database", place)
    assert f"lacks what was anchored: steps/3 {note['lacks']['steps/3'][0]} to" in told_
    with prepared_again(place) as database:
        engine = Engine(database, Settings(database=place, partitions=4), [])
        more(engine, 78)
        more(engine, 79)
        ended("audit", "anchor", "--database", place)
        assert lines(kept)[-1].epoch == 2
        assert told(looked(database, anchors.read_file(kept))) == []
    # Where the anchors were not at hand, nothing has said what is missing; whoever kept them finds it.
    other = f"sqlite:///{tmp_path / 'other' / 'a.db'}"
    monkeypatch.delenv("GRIDPATROL_ANCHORS")
    ended("restore", backup, "--database", other)
    found = json.loads(ended("audit", "verify", "--anchor", kept, "--database", other, "--json", status=ALTERED))
    assert found["kinds"].keys() == {"anchor"} and {each["how"] for each in found["findings"]} == {"lacking"}


def test_the_commands_end_with_a_status_of_their_own_and_leave_their_runs(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        name_people(engine)
    line = ended("audit", "anchor", "--database", sqlite_url)
    assert json.loads(line)["chains"].keys() == {"acts", "letters", "steps/3"}
    listed = json.loads(ended("audit", "chains", "--json", "--database", sqlite_url))
    assert listed["anchor"] == json.loads(line) and listed["waiting"] == 0
    assert "Nothing was changed of" in ended("audit", "verify", "--database", sqlite_url)
    ended("performance", "rebuild", "--database", sqlite_url)
    ended("verify", "--database", sqlite_url)
    with prepared_again(sqlite_url) as database, database.begin() as connection:
        connection.exec_driver_sql("UPDATE dead_letters SET detail = 'x' WHERE id = 'door-bad'")
    assert "letter door-bad: edited" in ended("audit", "verify", "--database", sqlite_url, status=ALTERED)
    with prepared_again(sqlite_url) as database, database.read() as connection:
        runs = verifications.listed(connection, 10)
    assert [(run.command, run.outcome, run.findings, run.by_kind()) for run in runs] == [
        ("gridpatrol audit verify", "findings", 1, {"letter": 1}),
        ("gridpatrol verify", "clean", 0, {}),
        ("gridpatrol audit verify", "clean", 0, {}),
    ]
    assert all(run.who.startswith("local:") and run.ended_at >= run.at > 0 for run in runs)
