"""History under another pack beside what was: the figures of both sides, where they part, and nothing written.

Enters: a small month on two partitions, and packs that differ from the shipped one in one row. Leaves: answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from consumers.whatif import WhatIf, compared, lapses
from consumers.whatif.deciding import ALONE, Decided, decided
from consumers.whatif.history import Instead, lines, recorded
from engine.policies import Policies
from engine.runtime import Engine
from engine.store import compare, slices
from engine.store.exports import steps_by_number
from engine.store.rows import PackRow
from engine.views.figure_question import PerformanceQuestion
from engine.views.performance import performance_page
from lab import runs
from schemas import facts
from schemas.derived_ids import part_subject
from tests.integration.test_joint import LEAD, MINUTE, Town
from tests.simulation.line import NOW, Line
from workflows import case as cases
from workflows.clocks.limits import parse_limit
from workflows.policy import model
from workflows.policy.model import Pack

TABLES = ("inbox", "facts", "cases", "packs", "seen")


def row_of(pack: Pack) -> PackRow:
    return PackRow(model.digest(pack), pack.code, pack.title_en, model.encode(pack).decode())


def stricter(clock: str = "accept", limit: str = "0.1工作时") -> Pack:
    """The shipped pack, with another limit for one clock."""
    pack = runs.pack_of("weiyang")
    rows = tuple(replace(row, limit=parse_limit(limit)) if row.clock == clock else row for row in pack.limits)
    return replace(pack, limits=rows)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("history")
    with runs.engine_on(f"sqlite:///{folder / 'month.db'}", 2, consumers=runs.consumers()) as engine:
        runs.replayed(engine, runs.month(70))
        yield engine


def test_a_history_on_postgresql_is_read_the_same(history, shorter, postgres_url, tmp_path):
    with runs.engine_on(postgres_url, 2) as engine:
        runs.replayed(engine, runs.month(70))
        assert ask(engine, stricter(), span(engine)[0], tmp_path) == shorter


def span(engine: Engine) -> tuple[int, int]:
    """The first and the last arrival of an event."""
    with engine.database.read() as connection:
        ends = {row.partition: row.position for row in slices.read_partitions(connection)}
        stamps = [row.stamp for row in recorded(engine, connection, ends, 1 << 60) if row.kind == "event"]
    return min(stamps), max(stamps)


@contextmanager
def sides(engine: Engine, pack: Pack, since: int, folder: Path, alone: int = ALONE) -> Iterator[Decided]:
    with ExitStack() as stack:
        connection = stack.enter_context(engine.database.read())
        yield stack.enter_context(
            decided(
                engine,
                connection,
                folder,
                Instead(row_of(pack), since),
                span(engine)[1],
                runs.consumers(),
                alone=alone,
            )
        )


def ask(engine: Engine, pack: Pack, since: int, folder: Path, case: str = "", alone: int = ALONE) -> WhatIf:
    instead = Instead(row_of(pack), since)
    with sides(engine, pack, since, folder, alone) as both:
        return compared(both, instead, span(engine)[1], case=case)


@pytest.fixture(scope="module")
def shorter(history: Engine, tmp_path_factory: pytest.TempPathFactory) -> WhatIf:
    """All of it under a pack with less time to accept."""
    return ask(history, stricter(), span(history)[0], tmp_path_factory.mktemp("shorter"))


def everything(engine: Engine) -> list[tuple[object, ...]]:
    with engine.database.read() as connection:
        return [
            row for table in TABLES for row in compare.rows(connection, table, compare.columns_of(table, ())) if row
        ]


def test_the_same_pack_changes_nothing_to_the_byte(history, tmp_path):
    first, last = span(history)
    pack = runs.pack_of("weiyang")
    with history.database.read() as connection:
        ends = {row.partition: row.position for row in slices.read_partitions(connection)}
        was, again = (
            list(lines(history, connection, ends, last, instead))
            for instead in (None, Instead(row_of(pack), (first + last) // 2))
        )
    assert again == was
    before = everything(history)
    found = ask(history, pack, (first + last) // 2, tmp_path)
    assert (found.differing, found.differences, found.refused, found.taken) == (0, [], {}, 0)
    assert found.was == found.would_be and found.was.alerts
    assert everything(history) == before, "something was written to the database that was asked"


def test_a_shorter_limit_is_missed_more_often_and_each_case_says_where(shorter):
    found = shorter
    assert found.would_be.lapses["accept"] > found.was.lapses.get("accept", 0)
    assert found.would_be.alerts > found.was.alerts
    other = {clock: number for clock, number in found.would_be.lapses.items() if clock != "accept"}
    assert other == {clock: number for clock, number in found.was.lapses.items() if clock != "accept"}
    assert found.differing and all(each.was != each.would_be for each in found.differences)
    pairs = [(each.was, each.would_be) for each in found.differences]
    limits = [(a.limit, b.limit) for a, b in pairs if isinstance(a, facts.ClockStarted) and isinstance(b, type(a))]
    assert limits and all(b == "0.1工作时" != a for a, b in limits)
    assert {each.unit for each in found.places} and all(each.was == each.would_be for each in found.places)


def test_before_its_instant_history_is_as_it_was(history, tmp_path):
    first, last = span(history)
    middle = (first + last) // 2
    with sides(history, stricter(), middle, tmp_path) as both:
        columns = compare.columns_of("facts", ("n",), ("case_id", "seq"))
        at = columns.names.index("at")
        was, would_be = (
            {row[:2]: row for row in compare.rows(side, "facts", columns) if row[at] < middle}
            for side in (both.was, both.would_be)
        )
    assert was == would_be and was


def test_the_sums_of_what_was_are_those_of_the_figures(history, shorter):
    found, last = shorter, span(history)[1]
    with history.database.read() as connection:
        page = performance_page(connection, Policies(), PerformanceQuestion(period="all", definition="incident"), last)
        steps = compare.rows(connection, "facts", compare.columns_of("facts", ()))
        body = compare.columns_of("facts", ()).names.index("body")
        alerts = sum(isinstance(fact, facts.AlertRaised) for row in steps for fact in facts.decode_facts(row[body]))
    counted = Counter[str]()
    for row in page.rows:
        counted.update({k.removeprefix("breach:"): n for k, n in row.counts.items() if k.startswith("breach:")})
    assert found.was.lapses == {clock: number for clock, number in sorted(counted.items()) if number}
    assert found.was.alerts == alerts


def test_what_only_the_other_pack_asks_for_is_never_asked(history, tmp_path):
    """Under a pack by which nobody may close, what was closed waits for a closing that would have been refused."""
    first, _ = span(history)
    pack = runs.pack_of("weiyang")
    barred = replace(pack, roles=tuple(row for row in pack.roles if row.trigger != "incident.closed"))
    found = ask(history, barred, first, tmp_path)
    closed = sum(number for ending, number in found.was.endings.items() if ending != "void")
    assert found.never_asked.cases == found.refused["forbidden"] == closed > 0
    assert found.would_be.open == found.was.open + closed
    assert found.never_asked.lapses and found.would_be.lapses == found.was.lapses, "they miss apart from the others"


def test_a_second_process_and_a_common_past_change_nothing(history, tmp_path):
    begin, end = span(history)
    middle = (begin + end) // 2
    (one := tmp_path / "one").mkdir()
    (two := tmp_path / "two").mkdir()
    alone = ask(history, stricter(), middle, one)
    assert ask(history, stricter(), middle, two, alone=0) == alone and alone.differing


def test_one_case_is_shown_alone(history, shorter, tmp_path):
    wanted = shorter.differences[-1]
    assert ask(history, stricter(), span(history)[0], tmp_path, wanted.case).differences == [wanted]


def test_what_says_that_a_deadline_was_missed():
    rung = facts.ClockRung(clock="accept", level=3, cycle=1, target=0, rung="due", repeat=0, due_at=1, overdue=True)
    assert not lapses(rung) and lapses(msgspec.structs.replace(rung, breach=True))


def barring() -> Pack:
    """The shipped pack, by which nobody orders parts."""
    pack = runs.pack_of("weiyang")
    return replace(pack, roles=tuple(row for row in pack.roles if row.trigger != "parts.ordered"))


@pytest.mark.parametrize(("rules", "other"), [("weiyang", barring), (barring, "weiyang")])
def test_what_is_said_from_home_to_home_follows_the_other_pack(rules, other, tmp_path, sqlite_url):
    """A part in another home: it was borne and would not have been, or the other way round."""
    packs = [runs.pack_of(each) if isinstance(each, str) else each() for each in (rules, other)]
    with runs.engine_on(sqlite_url, 2, consumers=runs.consumers()) as engine:
        runs.install(engine, packs[0])
        town = Town(Line(engine))
        town.handled_with_parts("WY02")
        with sides(engine, packs[1], NOW, tmp_path) as both:
            found = compared(both, Instead(row_of(packs[1]), NOW), span(engine)[1])
            born = [
                [(each.case_id, each.at) for each in steps_by_number(side) if each.definition == "part"]
                for side in (both.was, both.would_be)
            ]
            lead = [cases.decode(slices.read_cases(side, [LEAD])[0][2]).state for side in (both.was, both.would_be)]
    ordered = NOW + 3 * MINUTE
    expected = [[(part_subject("WY02", LEAD, "WY02", 0), ordered + 1000)], []]
    assert lead == ["awaiting_parts", "verifying"][:: 1 if rules == "weiyang" else -1]
    assert born == expected[:: 1 if rules == "weiyang" else -1]
    assert (found.fallen, found.anew) == ((1, 0) if rules == "weiyang" else (0, 1))
