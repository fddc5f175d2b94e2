"""Incident queries on each database: order, filters, and that each page goes along an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import Connection, event

from engine.slice.as_rows import case_row
from engine.slice.open_counts import changes
from engine.store import alerts, inbox_table, incident_queries, open_counts, slices, writes
from engine.store.database import Database, open_database
from engine.store.figures import Selection
from engine.store.incident_queries import After, Filters, HeldBy
from engine.store.rows import InboxRow, PartitionRow, SeenRow
from engine.store.tables import cases, partitions
from engine.views.incident_list import IncidentQuestion, found_page, work_of
from engine.views.names import Names
from engine.views.present import Present
from engine.views.questions import BadQuestion
from schemas.short_numbers import check_digit, short_number, spoken
from tests.support.builders import subject, weiyang
from tests.support.examples import examples
from workflows.case import Case, Clock, Owner
from workflows.definitions import DEFINITIONS, comes_up
from workflows.definitions.incident import INCIDENT

NOW = 1_772_413_200_000
HOUR = 3_600_000


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database of this release."""
    opened = open_database(database_url)
    opened.create_fresh()
    yield opened
    opened.close()


def clock(name: str, due: int | None, *, running: bool = True) -> Clock:
    """A clock of the third level."""
    return Clock(name, 3, 0, 0, "office", NOW - 9 * HOUR, NOW - 9 * HOUR, due=due, since=NOW if running else None)


def case(number: int, *clocks: Clock, closed: int | None = None, **fields: Any) -> Case:
    """An incident in handling at WY01."""
    known: dict[str, Any] = dict(
        definition="incident",
        state="handling",
        path=("XA", "WY", "WY01", "WY01-01"),
        owner=Owner("WY01", 3),
        category="D3-04",
        group="dust",
        opened=NOW - number * HOUR,
    )
    return Case(id=subject("WY01", number), clocks=clocks, closed=closed, **(known | fields))


def write(database: Database, *found: Case, partition: int = 0) -> None:
    """Keep cases."""
    with database.begin() as connection:
        slices.write_cases(connection, [case_row(c, partition, comes_up(c)) for c in found])
        open_counts.change(connection, changes((partition, None, c) for c in found))


def ask(database: Database, sort: str = "due_at", **filters: Any) -> list[int]:
    """The numbers of the cases of a page."""
    wanted = Filters(now=NOW, **filters)
    with database.read() as connection:
        rows = incident_queries.read_page(connection, wanted, sort.removeprefix("-"), sort[0] == "-", None, 100)
    return [int(after.id[-12:], 16) for after, _ in rows]


# ---- order --------------------------------------------------------------------------------------------------


def test_cases_without_a_deadline_come_last_in_both_directions(database: Database) -> None:
    write(database, case(1, clock("total", None)), case(2, clock("handle", NOW + 5)), case(3))
    write(database, case(4, clock("handle", NOW)))
    assert ask(database) == [4, 2, 1, 3]
    assert ask(database, "-due_at") == [2, 4, 1, 3]


def test_the_same_deadline_is_ordered_by_id(database: Database) -> None:
    write(database, *(case(number, clock("handle", NOW)) for number in (3, 1, 2)))
    assert ask(database) == [1, 2, 3]
    assert ask(database, "-due_at") == [3, 2, 1]


@settings(max_examples=examples(15))
@given(
    dues=st.lists(st.none() | st.integers(NOW - 3, NOW + 3), min_size=1, max_size=12),
    limit=st.integers(1, 5),
    sort=st.sampled_from(["due_at", "-due_at", "opened_at", "-opened_at", "id", "-id"]),
)
def test_pages_put_together_are_the_whole_list(tmp_path_factory, dues, limit, sort) -> None:
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('desk') / 'db'}")
    database.create_fresh()
    write(database, *(case(n, clock("handle", due), opened=NOW + n % 3) for n, due in enumerate(dues, 1)))
    found, after = list[int](), None
    for _ in range(len(dues) + 1):
        with database.read() as connection:
            name, down = sort.removeprefix("-"), sort[0] == "-"
            rows = incident_queries.read_page(connection, Filters(now=NOW), name, down, after, limit)
        found += [int(place.id[-12:], 16) for place, _ in rows]
        if len(rows) < limit:
            break
        after = rows[-1][0]
    assert found == ask(database, sort)
    assert sorted(found) == list(range(1, len(dues) + 1))
    database.close()


# ---- filters ------------------------------------------------------------------------------------------------


def test_overdue_is_strictly_after_the_deadline_and_only_while_open(database: Database) -> None:
    late = clock("handle", NOW - 1)
    write(database, case(1, late), case(2, clock("handle", NOW)), case(3, late, closed=NOW - 1), case(4))
    assert ask(database, overdue=True) == [1]
    assert ask(database, open=False) == [3]
    assert ask(database, open=None) == [1, 3, 2, 4]


def test_a_paused_clock_is_not_overdue_and_does_not_count_as_running(database: Database) -> None:
    write(database, case(1, clock("handle", NOW - 1, running=False), clock("total", NOW + 9)))
    assert ask(database, overdue=True) == []
    assert ask(database, clock="handle") == []
    assert ask(database, clock="total") == [1]


def test_with_a_clock_the_deadline_asked_about_is_its_own(database: Database) -> None:
    write(database, case(1, clock("handle", NOW - 1), clock("total", NOW + 9)), case(2, clock("total", None)))
    assert ask(database, clock="handle", overdue=True) == [1]
    assert ask(database, clock="total", overdue=True) == []
    assert ask(database, clock="total", due_before=NOW + 10) == [1]
    assert ask(database, clock="total") == [1, 2]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("/XA/", [1, 2, 3]),
        ("/XA/WY_1/", [1]),  # a blank of LIKE is a letter like others
        ("/XA/WY01/", [2]),
        ("/XA/wy01/", []),  # codes are told apart by their case
        ("/XA/WY%/", []),
        ("/XA/WY01/WY01-01/", [2]),
    ],
)
def test_a_subtree_is_compared_letter_by_letter(database: Database, prefix, found) -> None:
    paths = (("XA", "WY_1"), ("XA", "WY01", "WY01-01"), ("XA", "WY011"))
    write(database, *(case(n, path=path) for n, path in enumerate(paths, 1)))
    assert ask(database, sort="id", prefix=prefix) == found


def test_an_owner_is_a_grid_or_a_department(database: Database) -> None:
    write(database, case(1, owner=Owner("WY", 2, "WY-ENV")), case(2, owner=Owner("WY", 2)), case(3))
    assert ask(database, sort="id", owner="WY-ENV") == [1]
    assert ask(database, sort="id", owner="WY") == [1, 2]


def test_states_category_and_group_are_asked_together(database: Database) -> None:
    write(database, case(1), case(2, state="accepted"), case(3, state="accepted", group="water", category="W-1"))
    assert ask(database, sort="id", states=("accepted", "handling")) == [1, 2, 3]
    assert ask(database, states=("accepted",), group="water") == [3]
    assert ask(database, states=("accepted",), category="D3-04") == [2]


# ---- along an index -----------------------------------------------------------------------------------------


def plans(database: Database, action: Any) -> list[str]:
    """The plans of the statements that an action runs."""
    statements: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        statements.append((statement, parameters))

    event.listen(database.db, "before_cursor_execute", note)
    with database.read() as connection:
        action(connection)
    event.remove(database.db, "before_cursor_execute", note)
    word = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    found = []
    with database.read() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
        for statement, parameters in statements:
            if statement.startswith("SELECT"):
                rows = connection.exec_driver_sql(f"{word} {statement}", parameters)
                found.append("\n".join(" ".join(map(str, row)) for row in rows))
    assert found
    return found


@pytest.mark.parametrize("sort", ["due_at", "-due_at", "opened_at", "-opened_at", "id", "-id"])
@pytest.mark.parametrize("after", [None, After(NOW, subject("WY01", 3))])
def test_no_page_sorts_what_it_reads(database: Database, sort, after) -> None:
    name = sort.removeprefix("-")
    wanted = Filters(now=NOW, overdue=name == "due_at", prefix="/XA/")
    found = plans(database, lambda c: incident_queries.read_page(c, wanted, name, sort[0] == "-", after, 50))
    assert len(found) == (
        1 if name == "id" else len(wanted.definitions)
    )  # within a kind, so that another kind of case slows none down
    for plan in found:
        assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan
        assert {"due_at": "cases_due", "opened_at": "cases_opened", "id": ""}[name] in plan
        assert name == "id" or "definition" in plan


def test_what_is_over_in_a_state_is_found_by_the_state(database: Database) -> None:
    wanted = Filters(now=NOW, open=False, definitions=("incident",), states=("withdrawn",))
    found = plans(database, lambda c: incident_queries.read_page(c, wanted, "due_at", False, After(None, ""), 50))
    assert len(found) == 1 and "cases_state" in found[0]
    assert "TEMP B-TREE" not in found[0] and "Sort" not in found[0]


WHERE_IT_WAITS = {"cases_due", "cases_held", "cases_key", "cases_next", "cases_opened", "cases_short_number"}
"""The indexes in which a case stands that waits for a deadline. PostgreSQL writes into each of them at each step."""


def test_a_case_that_waits_stands_in_few_indexes(database: Database) -> None:
    runs = structs.replace(clock("handle", NOW + HOUR), next=NOW + HOUR)
    write(database, case(1, runs, key="a key"))
    stands = set[str]()
    with database.read() as connection:
        for index in cases.indexes:
            where = index.dialect_options[database.dialect]["where"]
            which = "1 = 1" if where is None else str(where)
            if connection.exec_driver_sql(f"SELECT count(*) FROM cases WHERE {which}").scalar_one():
                stands.add(str(index.name))
    assert stands == WHERE_IT_WAITS


def test_cases_of_several_kinds_are_one_list(database: Database) -> None:
    """Page by page, in both directions, dated ones first: as one kind would be."""
    kinds = ("incident", "service_request", "incident", "service_request", "incident")
    clocks = [clock("total", NOW + n % 3) for n in range(3)]
    for number, kind in enumerate(kinds, 1):
        write(database, case(number, *clocks[number - 1 : number], definition=kind))
    for sort in ("due_at", "-due_at", "opened_at", "-opened_at", "id", "-id"):
        whole, pages, after = ask(database, sort), list[int](), None
        assert sorted(whole) == [1, 2, 3, 4, 5]
        for _ in range(3):
            with database.read() as connection:
                wanted = Filters(now=NOW)
                way = sort.removeprefix("-"), sort[0] == "-"
                rows = incident_queries.read_page(connection, wanted, *way, after, 2)
            pages += [int(each.id[-12:], 16) for each, _ in rows]
            after = rows[-1][0] if rows else after
        assert pages == whole, sort
    assert ask(database, "-due_at") == [3, 2, 1, 4, 5]
    assert ask(database, "id", definitions=("service_request",)) == [2, 4]


# ---- what a caller says ---------------------------------------------------------------------------------------


def found(database: Database, search: str, **more: Any) -> list[int]:
    """The numbers of the cases that a search finds, page by page of two."""
    numbers, cursor = list[int](), ""
    while True:
        question = IncidentQuestion(search=search, limit=2, cursor=cursor, **more)
        with database.read() as connection:
            page = found_page(connection, Names(weiyang()), question, Present(NOW, "now", NOW))
        numbers += [int(line.id[-12:], 16) for line in page.incidents]
        if page.next is None:
            return numbers
        cursor = page.next


def test_a_case_is_found_by_what_the_caller_says_whatever_became_of_it(database: Database) -> None:
    write(database, *(case(number, reference="2026-17" if number % 2 else "") for number in range(1, 6)))
    write(database, case(6, closed=NOW, reference="101001354519"), case(7, definition="service_request"))
    assert found(database, "2026-17") == [1, 3, 5]
    assert found(database, " 101001354519 ") == [6]
    assert found(database, spoken(short_number(subject("WY01", 7)))) == [7]
    assert found(database, short_number(subject("WY01", 6)), grid="WY02") == []
    assert found(database, subject("WY01", 2)) == [2]
    assert found(database, "") == found(database, "101 001 354 519") == []


def test_cases_that_share_a_number_are_all_listed(database: Database) -> None:
    write(database, case(1), case(2), case(3))
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE cases SET short_number = '482913604'")
    assert found(database, "482 913 604") == [1, 2, 3]


def test_a_number_that_was_misheard_is_told_unless_it_is_somebody_s_reference(database: Database) -> None:
    right = short_number(subject("WY01", 1))
    wrong = right[:3] + str((int(right[3]) + 1) % 10) + right[4:]
    write(database, case(1), case(2, reference="111222334"))
    with pytest.raises(BadQuestion, match="a digit was misheard") as told:
        found(database, wrong)
    assert told.value.field == "search"
    assert check_digit("111222334") != "0"
    assert found(database, "111222334") == [2]


def test_a_search_goes_along_the_indexes_of_what_it_asks(database: Database) -> None:
    wanted, sought = Filters(now=NOW, open=None), {"reference": "17", "id": "17", "short_number": "482913604"}
    [plan] = plans(database, lambda c: incident_queries.read_found(c, wanted, sought, "", 50))
    assert "cases_reference" in plan and "cases_short_number" in plan and "cases_due" not in plan
    assert "SCAN cases" not in plan and "Seq Scan" not in plan


def test_the_earliest_due_instant_is_one_look_per_partition(database: Database) -> None:
    [plan] = plans(database, incident_queries.read_first_due)
    assert "cases_next" in plan


# ---- events and the log -------------------------------------------------------------------------------------


def inbox_row(partition: int, position: int, body: str) -> InboxRow:
    """A record of the log."""
    return InboxRow(partition, position, NOW + position, "event", "local", body)


def test_what_waits_is_counted_and_found_and_what_is_decided_is_not(database: Database) -> None:
    rows = [inbox_row(0, 0, '{"id":"a"}'), inbox_row(0, 1, '{"id":"b"}'), inbox_row(1, 0, '{"id":"b"}')]
    with database.begin() as connection:
        writes.insert(connection, partitions, [PartitionRow(p, int(p == 0), 0, 0, 0, "", "[]") for p in range(3)])
        inbox_table.append(connection, rows)
    with database.read() as connection:
        assert incident_queries.count_waiting(connection) == [(0, 1), (1, 1), (2, 0)]
        assert incident_queries.read_oldest_waiting(connection) == NOW
        assert [r.partition for r in incident_queries.read_waiting(connection, ['"b"'], 9)] == [1, 0]
        assert incident_queries.read_waiting(connection, ['"a"'], 9) == []
        assert incident_queries.read_position(connection, 0) == 1


def test_an_event_is_found_in_every_partition_that_has_seen_it(database: Database) -> None:
    seen = [SeenRow(p, "app", "e", "", "", "d", NOW - p, 0, "done", "", "", "", f"case{p}") for p in (0, 2)]
    with database.begin() as connection:
        writes.insert(connection, partitions, [PartitionRow(p, 0, 0, 0, 0, "", "[]") for p in range(3)])
        slices.write_seen(connection, seen)
    with database.read() as connection:
        assert [row.case_id for row in incident_queries.read_event(connection, "app", "e")] == ["case2", "case0"]
        assert [row.case_id for row in incident_queries.read_event(connection, "app", "e", 0)] == ["case0"]
        assert (
            incident_queries.read_event(connection, "app", "f")
            == incident_queries.read_event(connection, "app", "e", 1)
            == []
        )


def test_the_active_pack_is_the_last_one_activated(database: Database) -> None:
    with database.read() as connection:
        assert incident_queries.read_active(connection) is None
    packs = msgspec.json.encode([["old", 1], ["new", 2]]).decode()
    with database.begin() as connection:
        writes.insert(connection, partitions, [PartitionRow(0, 0, 0, 0, 0, "stands", packs)])
    with database.read() as connection:
        assert incident_queries.read_active(connection) == "new"
        assert incident_queries.read_halted(connection) == [(0, "stands")]


# ---- who must act -------------------------------------------------------------------------------------------


def test_the_work_of_a_grid_and_of_its_departments_are_apart(database: Database) -> None:
    """A case is found under who must act as its state says, whoever owns it, and under nobody once it is over."""
    district, department = Owner("WY", 2), Owner("WY", 2, "WY-URBAN")
    write(database, case(1, owner=district), case(2, owner=department), case(3, owner=district, state="verified"))
    write(database, case(4, owner=district, state="feedback", checks=(3, 4)))
    write(database, case(5, owner=district, state="verifying", checks=(3, 4), passed=(3,)))
    write(database, case(6, owner=district, state="closed", closed=NOW))
    assert ask(database, "id", holder=HeldBy("WY")) == [1]
    assert ask(database, "id", holder=HeldBy(department="WY-URBAN")) == [2]
    assert ask(database, "id", holder=HeldBy("WY01")) == [4]
    assert ask(database, "id", holder=HeldBy("WY01-01")) == [3, 5]
    assert ask(database, "id", open=None, holder=HeldBy("XA")) == []


def test_a_post_finds_its_own_work_and_that_of_its_grid(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that one post holds is found under that post, and not under its grid or another post of it."""
    by_posts = {"verified": structs.replace(INCIDENT.states["verified"], hands="post")}
    monkeypatch.setitem(DEFINITIONS, "incident", structs.replace(INCIDENT, states={**INCIDENT.states, **by_posts}))
    write(database, case(1, state="verified", post="WY01-01-MEMBER"), case(2, state="verified", post="WY01-01-CHIEF"))
    write(database, case(3, state="discovered"), case(4, state="verified", post="WY-URBAN-H"))
    assert ask(database, "id", holder=work_of("WY01-01-MEMBER", weiyang())) == [1, 3]
    assert ask(database, "id", holder=work_of("WY01-01", weiyang())) == [3]
    assert ask(database, "id", holder=work_of("WY-URBAN-H", weiyang())) == [4]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("", None),
        ("WY", HeldBy("WY")),
        ("WY-URBAN", HeldBy(department="WY-URBAN")),
        ("WY-URBAN-H", HeldBy("", "WY-URBAN", "WY-URBAN-H")),
        ("WY01-01-MEMBER", HeldBy("WY01-01", "", "WY01-01-MEMBER")),
        ("WY-CHIEF", HeldBy("WY", "", "WY-CHIEF")),
    ],
)
def test_a_post_acts_for_its_department_else_for_its_grid(code: str, found: HeldBy | None) -> None:
    assert work_of(code, weiyang()) == found


def test_a_code_that_nobody_has_is_refused_by_the_name_of_what_was_asked() -> None:
    with pytest.raises(BadQuestion) as refused:
        work_of("nobody", weiyang())
    assert refused.value.field == "holder"


def test_what_waits_to_be_told_is_found_without_reading_two_days_of_alerts(database: Database) -> None:
    """A city's patrols that lapsed at midnight wait for the morning, and every second is asked who does."""
    (plan,) = plans(database, lambda c: alerts.read_waiting(c, (NOW, ""), NOW + 1000, NOW - 48 * HOUR, 501))
    assert "alerts_waiting" in plan and "alerts_raised" not in plan, plan
    assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan


# ---- standing counts ----------------------------------------------------------------------------------------


def test_a_cell_that_came_to_nothing_is_told_to_nobody_and_is_gone_after_a_sweep(database: Database) -> None:
    missed = structs.replace(clock("total", NOW - HOUR), breached=True)
    stays, ends = case(1, missed), case(2, missed, owner=Owner("WY02", 3))
    write(database, stays, ends, partition=1)

    def told(connection: Connection) -> list[list[Any]]:
        every = Selection(definition="incident", by="level")
        read = open_counts.by_state(connection), open_counts.late_by_hour(connection)
        return [*read, open_counts.by_place(connection, every), open_counts.by_holder(connection, every)]

    def stored(connection: Connection) -> int:
        return connection.exec_driver_sql("SELECT count(*) FROM open_counts").scalar_one()

    with database.begin() as connection:
        both = stored(connection)
        open_counts.change(connection, changes([(1, ends, structs.replace(ends, closed=NOW, clocks=()))]))
        without = told(connection)
        assert stored(connection) == both
        open_counts.sweep(connection, [0])
        assert stored(connection) == both
        open_counts.sweep(connection, [0, 1])
        assert told(connection) == without and 0 < stored(connection) < both
        open_counts.change(connection, changes([(1, stays, structs.replace(stays, closed=NOW, clocks=()))]))
        assert told(connection) == [[], [], [], []]


def test_a_case_whose_cells_stay_changes_no_count() -> None:
    before = case(1, clock("total", NOW), clock("handle", NOW))
    assert changes([(0, before, structs.replace(before, seq=2, clocks=before.clocks[:1]))]) == []


# ---- who reported it ----------------------------------------------------------------------------------------


def test_what_a_post_has_reported_is_found_by_it_along_an_index(database: Database) -> None:
    late = clock("handle", NOW - 1)
    write(database, case(1, late, by="A"), case(2, by="A"), case(3, late, by="B"), case(4, by="A", closed=NOW))
    assert ask(database, reporter="A") == [1, 2]
    assert ask(database, open=None, reporter="A") == [1, 2, 4]
    assert ask(database, open=None, sort="-opened_at", reporter="A") == [1, 2, 4]
    assert ask(database, reporter="C") == []
    for open_ in (True, None):
        wanted = Filters(now=NOW, open=open_, reporter="A")
        found = plans(database, lambda c, w=wanted: incident_queries.read_page(c, w, "due_at", False, None, 50))
        for plan in found[
            : len(wanted.definitions)
        ]:  # what has a deadline; the rest needs statistics to be chosen well
            assert "cases_reporter" in plan and "Sort" not in plan and "TEMP B-TREE" not in plan, plan
