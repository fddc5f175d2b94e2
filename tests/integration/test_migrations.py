"""The schema that the migrations make is the one that the models describe, on both databases.

Conditions of indexes are compared too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import inspect

from consumers.alerts import fold
from consumers.performance.consume import consume, rebuild
from consumers.verify import verify
from engine.errors import SchemaMismatch
from engine.lease import Lease
from engine.operations import erasure
from engine.replay import replay_events
from engine.settings import Settings
from engine.store import figures, inbox_table, open_counts, tables, unpublished_figures, writes
from engine.store.database import MIGRATIONS, Database, open_database
from engine.store.dead_letters import DeadLetter, write
from engine.store.rows import LetterRow, SeenRow, WaitingRow
from engine.store.sql import execute
from engine.store.tables import metadata, sealed
from gridpatrol.cli import main
from gridpatrol.run.serve import serve
from lab import runs
from lab.parts.postgres import fresh_database
from lab.storm import BURST
from schemas import facts
from schemas.short_numbers import short_number
from tests.integration.test_erasure import OTHER, name_people
from tests.integration.test_reconcile import placed, random_lives, told_lives
from tests.simulation.line import NOW
from tests.support.builders import DAY, OPERATOR, changed, event, instant, noise, subject
from tests.support.histories import IN_THE_FIELD, Life, Teller, as_before, numbered, shuffled
from tests.support.histories import write as write_steps
from tests.support.serving import prepared
from tests.unit.test_fold import rectified
from workflows.case import encode


def indexes(database: Database) -> dict[str, object]:
    """Every index with its table, columns and condition; one of an expression by its whole text."""
    seen = inspect(database.db)
    found: dict[str, object] = {
        str(index["name"]): (
            (table, index["column_names"], bool(index["unique"]), _condition(index)),
            index.get("expressions"),
        )
        for table in seen.get_table_names()
        for index in seen.get_indexes(table)
    }
    if database.dialect == "sqlite":
        with database.db.connect() as connection:
            rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''")
            found |= {name: " ".join(sql.split()) for name, sql in rows if name not in found}
    return found


def _condition(index: Mapping[str, Any]) -> list[tuple[str, str]]:
    return sorted((name, str(value)) for name, value in index.get("dialect_options", {}).items())


def without_rowid(database: Database) -> set[str]:
    """The SQLite tables that are their own index."""
    if database.dialect != "sqlite":
        return set()
    with database.db.connect() as connection:
        tables = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    return {name for name, sql in tables if "WITHOUT ROWID" in sql.upper()}


def columns(database: Database) -> dict[str, object]:
    """Every column with its type, default and whether it may be empty; and the primary keys."""
    seen = inspect(database.db)
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)],
            seen.get_pk_constraint(table)["constrained_columns"],
        )
        for table in seen.get_table_names()
        if table != "alembic_version"
    }


@pytest.fixture
def migrated(database_url: str) -> Iterator[Database]:
    """A database made by the migrations, which ran once for all tests."""
    with closing(runs.open_at_this_release(database_url)) as database:
        yield database


@pytest.fixture
def fresh(migrated: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Another one of the same kind, made from the models."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'fresh.db'}"
        if migrated.dialect == "postgresql":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        database = open_database(url)
        stack.callback(database.close)
        database.create_fresh()
        yield database


def comparable(item: Any, name: str | None, kind: str, *_: object) -> bool:
    """Whether alembic can compare it: the text of an expression is another one in the database than in the models. The
    test below compares those as two databases have them."""
    return kind != "index" or name != "outcomes_stood"


def test_the_migrated_schema_is_the_one_of_the_models(migrated: Database) -> None:
    with migrated.db.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": comparable})
        assert compare_metadata(context, metadata) == []


def test_columns_keys_and_indexes_are_those_of_a_fresh_schema(migrated: Database, fresh: Database) -> None:
    assert columns(migrated) == columns(fresh)
    assert indexes(migrated) == indexes(fresh)
    assert without_rowid(migrated) == without_rowid(fresh)
    assert len(indexes(fresh)) >= 10 and "outcomes_stood" in indexes(fresh)


def test_upgrading_twice_changes_nothing_and_the_schema_is_then_this_release_s(migrated: Database) -> None:
    before = indexes(migrated), columns(migrated)
    migrated.upgrade()
    migrated.check_schema()
    assert (indexes(migrated), columns(migrated)) == before


def test_a_schema_of_another_release_is_refused_with_the_command_that_mends_it(migrated: Database) -> None:
    with migrated.db.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(SchemaMismatch, match=r"revision 0001.*gridpatrol db upgrade"):
        migrated.check_schema()


def test_an_empty_database_has_no_schema_of_any_release(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    with pytest.raises(SchemaMismatch, match="revision none"):
        database.check_schema()
    database.close()


# ---- from one release to the next ---------------------------------------------------------------------------


def to(database: Database, revision: str) -> None:
    """Put the schema back to a revision; what lies in it stays."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.db.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def columns_of(database: Database) -> dict[str, str]:
    """The names of every table's columns."""
    seen = inspect(database.db)
    tables = [name for name in seen.get_table_names() if name != "alembic_version"]
    return {table: ", ".join(f'"{c["name"]}"' for c in seen.get_columns(table)) for table in tables}


def contents(database: Database, names: Mapping[str, str]) -> dict[str, list[tuple[object, ...]]]:
    """Every row of these tables, by these columns. Figures are added up, and one that is 0 is as good as none."""
    with database.read() as connection:
        found = {}
        for table, of in names.items():
            if database.dialect == "sqlite":
                of = of.replace('"body"', 'inflated("body")')
            keys, value, _ = of.partition(', "value"')
            sql = f"SELECT {of} FROM {table}"
            if table == "figures" and value:
                sql = f"SELECT {keys}, CAST(sum(value) AS BIGINT) FROM {table} GROUP BY {keys} HAVING sum(value) <> 0"
            found[table] = sorted((tuple(row) for row in connection.exec_driver_sql(sql)), key=repr)
        return found


def fold_anew(database: Database) -> None:
    """What a start does: the fold reads on from where it stands."""
    while consume(database):
        pass


def letter(id_: str) -> LetterRow:
    return LetterRow(id_, 1, None, None, "unknown_type", "type", "", "", "", "", "", "", "")


def published(database: Database) -> dict[str, bool]:
    with database.read() as connection:
        return {id_: bool(is_) for id_, is_ in connection.exec_driver_sql("SELECT id, published FROM dead_letters")}


def test_cases_of_before_are_found_by_number_and_reference(database_url: str) -> None:
    with runs.engine_on(database_url, 4, consumers=runs.consumers()) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        said: dict[str, Any] = {"category": "D3-08", "source": "patrol", "grid": "WY01-01", "reference": "17"}
        report = event("report.submitted", "WY01-01-MEMBER", NOW, **said)
        assert replay_events(engine, [json.dumps(report).encode()], "one").outcomes == {"done": 1}
        to(engine.database, "0018")
        engine.database.upgrade()
        assert verify(engine.database) == []
        with engine.database.read() as connection:
            sql = "SELECT id, short_number FROM cases WHERE reference = '17'"
            assert connection.exec_driver_sql(sql).all() == [(report["subject"], short_number(report["subject"]))]


@pytest.mark.parametrize("folded", [4, 7, 99])
def test_outcomes_of_before_name_the_units_that_were_ordered_and_the_fold_goes_on_with_those_of_clocks_that_run(
    migrated: Database, folded: int
) -> None:
    """However far the fold had come. It is as if it had always known, when it has read the rest."""
    tellers = [rectified(1), rectified(2, upto=7), Teller(3, home="WY02")]
    tellers[-1].say("report.submitted", "WY-12345", category="D3-04", source="hotline", grid="WY02-01")
    steps = numbered(shuffled([teller.steps for teller in tellers], [1, 0, 2] * 20), count=1)
    write_steps(migrated, steps, [teller.case for teller in tellers])
    consume(migrated, limit=folded)
    columns = columns_of(migrated)
    names = {table: columns[table] for table in ("outcomes", "figures")}
    before = contents(migrated, names)
    to(migrated, "0020")
    with migrated.begin() as connection:  # what an older release had kept
        short = "json_array(json_extract(body, '$[0]'))"
        if migrated.dialect == "postgresql":
            short = "CAST(jsonb_build_array(CAST(body AS jsonb) -> 0) AS text)"
        execute(connection, f"UPDATE contributions SET body = {short}")
        execute(connection, "DELETE FROM contributions WHERE body = '[[]]'")
    migrated.upgrade()
    assert contents(migrated, names) == before
    assert [each for each in verify(migrated, live=True) if each.what in ("outcome", "contribution")] == []
    fold_anew(migrated)
    assert [each for each in verify(migrated) if each.what in ("outcome", "contribution", "figure")] == []
    told = contents(migrated, {"outcomes": "unit, lapsed"})["outcomes"]
    assert [unit for unit, _ in told if unit] == ["SITE-1"] * 2 + ["SITE-2"] * 2 + ["SITE-3"] * 2
    after = contents(migrated, names)
    assert rebuild(migrated) == len(steps)
    fold_anew(migrated)
    assert contents(migrated, names) == after


def test_cases_of_before_know_the_deadlines_that_they_missed(migrated: Database) -> None:
    """Byte by byte as this release keeps them: taken back, recharged, and of the latest only."""
    lives = [life for life in (*random_lives(30), *told_lives()) if not told_later(life)]
    write_steps(migrated, placed([step for life in lives for step in life.steps]), [life.case for life in lives])
    consume(migrated)
    sql = "SELECT id, body FROM cases ORDER BY id"
    with migrated.read() as connection:
        before = [tuple(row) for row in connection.exec_driver_sql(sql)]
    assert sum('"lapses":' in body for _, body in before) > 9
    to(migrated, "0030")
    with migrated.read() as connection:
        assert not any('"lapses":' in body for _, body in connection.exec_driver_sql(sql))
    migrated.upgrade()
    with migrated.read() as connection:
        assert [tuple(row) for row in connection.exec_driver_sql(sql)] == before


def told_later(life: Life) -> bool:
    """Whether anything was said in it that releases of before could not be told."""
    later = (facts.ExemptionRequested, facts.Reopened)
    return any(isinstance(fact, later) for step in life.steps for fact in step.facts)


def test_a_run_of_the_first_schema_is_upgraded_and_its_letters_count_as_not_published(database_url: str) -> None:
    with runs.engine_on(database_url, 4, consumers=runs.consumers()) as engine:
        runs.replayed(engine, runs.storm(5, 40))
        database, bodies = engine.database, {"cases": "id, body"}
        whole = contents(database, bodies)
        to(database, "0001")
        first = columns_of(database)
        assert "published" not in first["dead_letters"]
        # What that release kept of requests that are over is not all; the rest follows from their facts.
        assert "ended" in str(whole) and "ended" not in str(contents(database, bodies))
        first["cases"] = ", ".join(name for name in first["cases"].split(", ") if name != '"body"')
        before = contents(database, first)
        assert len(before["dead_letters"]) > 5
        database.upgrade()
        database.check_schema()
        fold_anew(database)  # of figures without a definition nobody can say whose they were
        assert contents(database, first) == before
        assert contents(database, bodies) == whole
        assert set(published(database).values()) == {False}


def test_what_was_sealed_before_learns_its_case_from_the_log_and_from_the_letters(database_url: str) -> None:
    """As if the run had been one of this release. A record that is no event is passed over; erased rows as well."""
    with prepared(database_url) as engine:
        name_people(engine)
        erasure.erase(engine, OTHER, OPERATOR)
        database = engine.database
        names = {"sealed": "token, body, subject"}
        before = contents(database, names)
        kinds = {(str(token).startswith("letter:"), bool(subject)) for token, _, subject in before["sealed"]}
        assert {(False, True), (True, True)} <= kinds
        with database.begin() as connection:
            connection.exec_driver_sql("INSERT INTO inbox (partition, position, kind) VALUES (0, 9, 'event')")
        to(database, "0003")
        database.upgrade()
        database.check_schema()
        assert contents(database, names) == before


def test_a_letter_that_was_called_anything_is_upgraded_with_the_rest(migrated: Database) -> None:
    to(migrated, "0003")
    long = noise(10_000)
    with migrated.begin() as connection:
        row = msgspec.structs.replace(letter("a"), case_id=long, token="letter:a")
        writes.insert(connection, tables.dead_letters, [row])
        connection.execute(sealed.insert().values(token="letter:a", body="{}"))
    migrated.upgrade()
    names = {"dead_letters": "id, case_id", "sealed": "token, body, subject"}
    assert contents(migrated, names) == {
        "dead_letters": [("a", "")],  # a subject that is none may be anybody's words
        "sealed": [("letter:a", "{}", "")],
    }


def test_letters_of_a_release_that_quoted_what_was_sent_show_no_more_than_those_of_this_one(migrated: Database) -> None:
    to(migrated, "0004")
    quoting = {
        "a": ("unknown_code", "'somebody' is no category of the active pack"),
        "b": ("forbidden", "principal app may not speak for somebody: its `actors` name no such post"),
        "c": ("failed", "KeyError: somebody"),
        "d": ("undecodable", "text/somebody is not taken: send one event"),
        "e": ("invalid", "the header ce-somebody stands there more than once"),
    }
    plain = ("impossible", "in state closed (结案) it takes: comment.added, evidence.added")
    kept = quoting | {"f": plain}
    case = subject("WY01", 1)
    names = {id_: {"type": "gridpatrol.report.submitted.v1", "case_id": case} for id_ in kept}
    names["a"] |= {"type": "somebody.v1"}
    names["b"] |= {"case_id": "somebody"}
    with migrated.begin() as connection:
        for id_, (reason, detail) in kept.items():
            old = msgspec.structs.replace(
                letter(id_), reason=reason, detail=detail, token=f"letter:{id_}", **names[id_]
            )
            writes.insert(connection, tables.dead_letters, [old])
            connection.execute(sealed.insert().values(token=f"letter:{id_}", body="somebody", subject=old.case_id))
            known = "INSERT INTO seen (partition, source, id, reason, detail) VALUES (0, 's', ?, ?, ?)"
            execute(connection, known, id_, reason, detail)
    migrated.upgrade()
    found = contents(migrated, {"dead_letters": "id, type, case_id, detail", "seen": "id, detail"})
    assert "somebody" not in str(found)
    assert [row[:3] for row in found["dead_letters"]] == [
        (id_, "" if id_ == "a" else "gridpatrol.report.submitted.v1", "" if id_ == "b" else case) for id_ in kept
    ]
    assert ("f", plain[1]) in found["seen"] and found["dead_letters"][-1][-1] == plain[1]
    sealed_rows = contents(migrated, {"sealed": "token, body, subject"})["sealed"]
    assert ("letter:b", "somebody", "") in sealed_rows and ("letter:a", "somebody", case) in sealed_rows


def test_what_was_known_before_has_no_actor_and_goes_back_as_it_was(migrated: Database) -> None:
    """Back again, an older release knows an event by source and id: the first of each, and the form of its digest."""
    to(migrated, "0004")
    columns = "partition, source, id, digest, arrival, position, outcome"
    old = f"INSERT INTO seen ({columns}) VALUES (0, 's', ?, ?, 5, ?, 'done')"
    with migrated.begin() as connection:
        for number, id_ in enumerate("ab"):
            execute(connection, old, id_, id_ * 64, number)
    migrated.upgrade()
    assert contents(migrated, {"seen": "id, home, actor, digest, outcome"})["seen"] == [
        ("a", "", "", "a" * 64, "done"),
        ("b", "", "", "b" * 64, "done"),
    ]
    rows = [
        SeenRow(0, "s", "b", "WY01", "M", f"{'c' * 64} 2:{'d' * 64}", 6, 2, "done", "", "", "", ""),
        SeenRow(0, "s", "c", "WY01", "M", f"{'c' * 64} 2:{'d' * 64}", 6, 3, "done", "", "", "", ""),
        SeenRow(0, "s", "c", "WY01", "C", f"{'e' * 64} 2:{'f' * 64}", 6, 4, "done", "", "", "", ""),
    ]
    with migrated.begin() as connection:
        writes.insert(connection, tables.seen, rows)
    to(migrated, "0004")
    assert contents(migrated, {"seen": "id, digest, position"})["seen"] == [
        ("a", "a" * 64, 0),
        ("b", "b" * 64, 1),
        ("c", "c" * 64, 3),
    ]
    migrated.upgrade()


@pytest.mark.parametrize(
    ("others", "folded"), [(("service_request",), True), ((), False)], ids=["both kinds", "incidents alone"]
)
def test_what_was_told_of_cases_learns_their_kind_and_figures_of_two_kinds_are_folded_anew(
    database_url: str, others: Sequence[str], folded: bool
) -> None:
    """As if the run had been one of this release, to the row. Figures of one kind stay as they are."""
    kinds = ("incident", *others)
    lines = [line for line in runs.storm(5, 40) if kinds[1:] or b'"service_request"' not in line]
    with runs.engine_on(database_url, 4, consumers=runs.consumers()) as engine:
        runs.install(engine, changed(notices=()).pack)  # there were no notices then
        replay_events(engine, lines, "simulation")
        database = engine.database
        with database.begin() as connection:
            open_counts.sweep(connection, range(4))
        names = columns_of(database)
        names["seen"] = names["seen"].replace(', "decided", "decided_at", "principal"', "")  # known from then on alone
        names["dead_letters"] = names["dead_letters"].replace(', "decided"', "")
        before = contents(database, names)
        for table in ("facts", "figures", "outcomes", "alerts", "deliveries"):
            found = contents(database, {table: "DISTINCT definition"})[table]
            assert {str(kind) for (kind,) in found} - {""} == set(kinds), table
        to(database, "0009")
        database.upgrade()
        stands = contents(database, {"positions": "consumer, n", "figures": "definition"})
        assert (len(stands["figures"]) == 0) == folded
        assert folded == any(row == ("performance", 0) for row in stands["positions"])
        fold_anew(database)
        assert contents(database, names) == before
        assert verify(database) == []


def test_a_topic_of_figures_gets_them_by_kind_and_those_of_before_become_nothing(postgres_url: str) -> None:
    """Its readers add up cells: one that stayed under the key of before would count twice."""
    lines = [line for line in runs.storm(5, 40) if b'"service_request"' not in line]
    with runs.engine_on(postgres_url, 4, consumers=runs.consumers()) as engine:
        runs.replayed(engine, lines)
        database = engine.database
        with database.begin() as connection:
            inbox_table.write_origin(connection, inbox_table.Origin("cluster", "topic", [0] * 4))
        to(database, "0009")
        database.upgrade()
        with database.begin() as connection:
            noted = unpublished_figures.figures_of(connection, unpublished_figures.read(connection, 1000))
            stand = figures.sums(connection, figures.Selection(definition="incident"))
        assert {row.value for row in noted if not row.definition} == {0}
        told = {row[:-2]: row.value for row in noted if row.definition == "incident"}
        assert {row[:-2] for row in noted if not row.definition} == set(told)
        assert sum(told.values()) == sum(value for _, _, value in stand) > 100


def test_what_waits_for_a_case_that_stands_waits_on_and_only_records_go_back(migrated: Database) -> None:
    to(migrated, "0012")
    columns = "partition, position, case_id, arrival, kind, principal, body"
    with migrated.begin() as connection:
        execute(connection, f"INSERT INTO waiting ({columns}) VALUES (0, 7, 'c', 5, 'event', 'p', 'b')")
    migrated.upgrade()
    of = {"waiting": f"{columns}, turn, nearby"}
    assert contents(migrated, of)["waiting"] == [(0, 7, "c", 5, "event", "p", "b", 0, "")]
    with migrated.begin() as connection:
        writes.insert(connection, tables.waiting, [WaitingRow(0, 7, 130, "c", 6, "send", "", "{}")])
    to(migrated, "0012")
    assert contents(migrated, {"waiting": columns})["waiting"] == [(0, 7, "c", 5, "event", "p", "b")]
    migrated.upgrade()


def test_an_acknowledgement_of_before_is_of_the_post_that_its_fact_names_and_the_alert_fires_on(
    migrated: Database,
) -> None:
    """The rows of before: the alerts of the clock were acknowledged, and the case had none that was open."""
    teller = Teller(rules=changed(IN_THE_FIELD, notices=()))  # nor were there notices
    due = instant(teller.now + DAY)
    assert teller.say("report.submitted", "WY-12345", category="D3-04", source="hotline", grid="WY01-01", deadline=due)
    assert teller.say("incident.acknowledged", "WY01-CHIEF", 2 * DAY, clock="total")
    teller.until(teller.now + DAY)
    life = as_before(teller.life)
    steps = numbered(life.steps, count=1)
    write_steps(migrated, steps, [life.case])
    while fold.consume(migrated, now=steps[-1].at + DAY):
        pass
    with migrated.begin() as connection:
        execute(connection, "UPDATE partitions SET packs = '[]'")
    names = {"alerts": columns_of(migrated)["alerts"], "cases": "id, body"}
    before = contents(migrated, names)
    assert any("WY01-CHIEF" in str(row) and "firing" in str(row) for row in before["alerts"])
    to(migrated, "0011")
    clocks = tuple(
        msgspec.structs.replace(clock, alert_open=clock.alert_open and not clock.acknowledged)
        for clock in life.case.clocks
    )
    body = encode(msgspec.structs.replace(life.case, clocks=clocks, alerted=(), lapses=())).decode()
    seen = [fact.alert for step in steps for fact in step.facts if isinstance(fact, facts.AlertRaised)]
    seen = [alert for alert in seen if "|total." in alert and "|overdue|" not in alert]
    assert len(seen) == 2
    with migrated.begin() as connection:
        execute(connection, "UPDATE cases SET body = ?", body)
        for alert in seen:
            sql = "UPDATE alerts SET status = 'acknowledged', ended_at = 5, ended_by = 'WY01-CHIEF' WHERE id = ?"
            execute(connection, sql, alert)
    migrated.upgrade()
    assert contents(migrated, names) == before
    assert not [each for each in verify(migrated) if each.what in ("alert", "case", "delivery")]


def test_bodies_of_before_stay_as_they_are_and_go_back_as_texts(sqlite_url: str) -> None:
    with runs.engine_on(sqlite_url, 4, consumers=runs.consumers()) as engine:
        runs.replayed(engine, runs.storm(5, 40), until=BURST)
        database = engine.database
        kinds = {table: f"SELECT DISTINCT typeof(body) FROM {table}" for table in ("facts", "deliveries")}

        def kept() -> dict[str, set[object]]:
            with database.read() as connection:
                return {table: set(connection.exec_driver_sql(sql).scalars()) for table, sql in kinds.items()}

        assert all("blob" in found for found in kept().values())
        before = runs.steps(engine)
        to(database, "0023")
        assert kept() == {"facts": {"text"}, "deliveries": {"text"}}
        database.upgrade()
        assert kept() == {"facts": {"text"}, "deliveries": {"text"}}
        assert runs.steps(engine) == before
        runs.replayed(engine, runs.storm(5, 40))
        assert kept()["facts"] == {"text", "blob"}
        assert verify(database) == []


def test_a_letter_that_is_written_again_stays_published(migrated: Database) -> None:
    with migrated.begin() as connection:
        write(connection, [DeadLetter(letter(id_), None) for id_ in "ab"])
        connection.exec_driver_sql("UPDATE dead_letters SET published = (1 = 1) WHERE id = 'a'")
        write(connection, [DeadLetter(letter(id_), None) for id_ in "abc"])
    assert published(migrated) == {"a": True, "b": False, "c": False}


def test_serving_refuses_an_older_schema_and_names_the_command(migrated: Database) -> None:
    to(migrated, "0001")
    url = migrated.url.render_as_string(hide_password=False)
    with pytest.raises(SchemaMismatch, match=r"revision 0001.*gridpatrol db upgrade"):
        serve(Settings(database=url, listen="127.0.0.1:0"))
    migrated.upgrade()
    migrated.check_schema()


def test_db_upgrade_has_nothing_to_do_while_servers_of_this_release_run_and_waits_for_no_other(
    migrated: Database,
) -> None:
    words = ["db", "upgrade", "--database", migrated.url.render_as_string(hide_password=False)]
    server = Lease(migrated, shared=True)
    assert "already" in CliRunner().invoke(main, words).output
    server.close()
    to(migrated, "0001")
    server = Lease(migrated, shared=True)
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 75 and "already" not in refused.output
    with pytest.raises(SchemaMismatch):
        migrated.check_schema()
    server.close()
    assert CliRunner().invoke(main, words).exit_code == 0
    migrated.check_schema()
    listed = CliRunner().invoke(main, ["audit", "list", "--json", *words[2:]])
    stands, wanted = migrated.revisions()
    assert [(row["act"], row["object"]) for row in json.loads(listed.stdout)] == [
        ("database.upgraded", f"0001 to {wanted}")
    ]
    assert stands == wanted, "and it is listed without a pack that says how late it is where"
