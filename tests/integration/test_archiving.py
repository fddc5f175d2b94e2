"""A closed year leaves the tables: an operator says so in the log, and a file takes what had ended.

Enters: cases that ended in March, and the word of an operator a year later. Leaves: refusals, facts, files, stubs.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consumers.alerts import fold
from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine import failpoints
from engine.archive_file import ArchiveUnusable, read
from engine.cluster.inbox import row_of
from engine.failpoints import Interrupted
from engine.operations import erasure, leaving
from engine.operations.leaving import ArchiveWanted
from engine.policies import Policies
from engine.replay import export_log, replay_log
from engine.settings import Settings
from engine.slice import archiving
from engine.store import exports
from engine.store.clocks import note_replayed
from engine.store.rows import InboxRow
from engine.views.figure_cases import FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from gridpatrol.run import closed_years
from gridpatrol.run.closed_years import Moved
from gridpatrol.run.following import follow
from lab import runs
from lab.runs import engine_on, install, pack_of
from schemas.facts import SurvivorEnded
from tests.integration.test_standing import broken, restarted, work
from tests.simulation.line import NOW, Line, check_export, line_on
from tests.support.builders import DAY, HOUR, OPERATOR, at, subject
from tests.support.opened import check_opened

APRIL = at("04-01 00:00")
LATER = APRIL + 200 * DAY
"""When the operator speaks: no resend of March counts as one any more."""


def archive(line: Line, before: int = APRIL, time: int = LATER) -> None:
    """The word of an operator, and everything decided."""
    line.operate("archive", json.dumps({"before": before}), time)
    line.engine.drain()


def closed_in_march(line: Line, *numbers: int) -> None:
    for number in numbers:
        line.report(number, NOW)
        line.close(number, NOW + HOUR)


def comment(line: Line, number: int, time: int, **rest: Any) -> None:
    line.say("case.commented", "WY-DISPATCH", time, case=subject("WY01", number), text="…", **rest)


def answers(line: Line) -> list[tuple[Any, ...]]:
    """(reason, case) of what was refused."""
    return [row[:2] for row in line.letters()]


@pytest.fixture
def line(sqlite_url: str) -> Iterator[Line]:
    with line_on(sqlite_url) as found:
        yield found


@pytest.fixture
def line_of_each(database_url: str) -> Iterator[Line]:
    """The same on both databases."""
    with line_on(database_url) as found:
        yield found


def test_what_comes_to_a_case_of_the_closed_year_is_refused_and_its_sender_hears_why(
    line: Line, tmp_path: Path
) -> None:
    closed_in_march(line, 1)
    line.report(2, APRIL - DAY)
    line.close(2, APRIL + 1)  # it ended later
    line.report(3, NOW)  # it is open
    archive(line)
    for number in (1, 2, 3):
        comment(line, number, LATER + HOUR)
    line.engine.drain()
    assert answers(line) == [("archived", subject("WY01", 1))]
    check_export(line, tmp_path)


def settings_for(line: Line, folder: Path) -> Settings:
    return Settings(database=line.engine.database.url.render_as_string(hide_password=False), archives=str(folder))


def write(line: Line, folder: Path) -> Moved:
    """Let everything leave that may."""
    consumed(line)
    return closed_years.write(settings_for(line, folder), line.engine.database, OPERATOR, lambda done: None)


def consumed(line: Line) -> None:
    while follow(line.engine.database):
        pass
    fold.tell(line.engine.database, LATER)


def check_whole(line: Line, folder: Path, tmp_path: Path) -> None:
    """What is stored and what has left follow from the log, together."""
    whole = closed_years.snapshot(settings_for(line, folder))
    database = line.engine.database
    assert verify(database, snapshot=whole) == []
    beside = tmp_path / "beside"
    beside.mkdir(exist_ok=True)
    assert replayed_beside(line.engine, beside, snapshot=whole) == []
    (beside / "again.db").unlink()


def table(line: Line, name: str) -> int:
    with line.engine.database.read() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one())


def test_its_rows_leave_for_a_file_and_all_still_follows_from_the_log(line_of_each: Line, tmp_path: Path) -> None:
    line = line_of_each
    closed_in_march(line, 1, 2, 3)
    line.report(4, NOW)
    line.engine.drain()
    before = runs.steps(line.engine)
    archive(line)
    moved = write(line, tmp_path / "files")
    assert (moved.cases, len(moved.files)) == (3, 1) and table(line, "archived_cases") == 3
    assert (table(line, "cases"), table(line, "facts")) == (1, len(line.steps(4)))
    comment(line, 1, LATER + HOUR)
    line.engine.drain()
    assert answers(line) == [("archived", subject("WY01", 1))]
    consumed(line)
    check_whole(line, tmp_path / "files", tmp_path)
    with closed_years.snapshot(settings_for(line, tmp_path / "files"))(line.engine.database) as connection:
        assert [row for row in exports.steps_by_number(connection) if row.case_id != subject("WY01", 4)] == [
            row for row in before if row.case_id != subject("WY01", 4)
        ]


def test_figures_say_what_cases_add_that_have_left_and_durations_name_the_file(line: Line, tmp_path: Path) -> None:
    closed_in_march(line, 1, 2, 3)
    line.report(4, NOW)
    line.engine.drain()
    archive(line)
    moved = write(line, tmp_path / "files")
    assert moved.cases == 3
    policies, asked = Policies(), dict[str, Any](definition="service_request", period="all")
    with line.engine.database.read() as connection:
        assert check_opened(connection, policies, PerformanceQuestion(**asked), LATER) > 5
        page = figure_cases_page(connection, policies, FigureCasesQuestion(measure="reported", **asked), LATER)
        assert (page.value, page.archived, [each.id for each in page.cases]) == (4, 3, [subject("WY01", 4)])
        page = figure_cases_page(connection, policies, FigureCasesQuestion(measure="median_ms", **asked), LATER)
        assert [(each.case, each.archive) for each in page.cases] == [(None, each.archive) for each in page.cases]
        assert {each.archive for each in page.cases} == {Path(moved.files[0]).name}


def test_one_that_was_merged_stays_until_its_survivor_has_ended_and_hears_of_that(line: Line, tmp_path: Path) -> None:
    line.report(1, NOW)
    line.report(2, NOW)
    line.say("incident.merged", "WY-DISPATCH", NOW + HOUR, case=subject("WY01", 2), into=subject("WY01", 1))
    archive(line)
    assert write(line, tmp_path / "files").cases == 0
    line.close(1, LATER + HOUR)
    line.engine.drain()
    assert line.of(SurvivorEnded, 2)
    archive(line, LATER + DAY, LATER + 200 * DAY)
    line.report(3, LATER + 200 * DAY)
    line.say("incident.merged", "WY-DISPATCH", LATER + 201 * DAY, case=subject("WY01", 3), into=subject("WY01", 1))
    line.engine.drain()
    assert line.letters()[-1][:2] == ("archived", subject("WY01", 3))
    assert write(line, tmp_path / "files").cases == 2
    line.say("incident.merged", "WY-DISPATCH", LATER + 202 * DAY, case=subject("WY01", 3), into=subject("WY01", 1))
    line.engine.drain()
    assert line.letters()[-1][:2] == ("archived", subject("WY01", 3))
    consumed(line)
    check_whole(line, tmp_path / "files", tmp_path)


def test_an_old_id_is_never_taken_as_new_for_a_case_that_has_left(line: Line, tmp_path: Path) -> None:
    closed_in_march(line, 1)
    archive(line)
    write(line, tmp_path / "files")
    line.sent = 0
    line.report(1, LATER + HOUR)  # the same report, with the same id
    another = line.submission("case.commented", "WY-DISPATCH", NOW, case=subject("WY01", 1), text="…")
    for hours in (1, 2):
        line.engine.append([another], LATER + hours * HOUR)
    line.engine.drain()
    assert answers(line) == [("archived", subject("WY01", 1))] * 2  # the last one is a duplicate
    assert table(line, "cases") == 0
    consumed(line)
    check_whole(line, tmp_path / "files", tmp_path)


@pytest.mark.parametrize("point", ["after_file", "after_register", "before_commit", "after_commit"])
def test_killed_anywhere_it_goes_on_where_it_was(
    line: Line, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "PAGE", 2)
    closed_in_march(line, 1, 2, 3, 4, 5)
    archive(line)
    point = f"archive.{point}"
    failpoints.arm(f"{point}:raise{'@2' if 'commit' in point else ''}")
    with pytest.raises(Interrupted):
        write(line, tmp_path / "files")
    failpoints.arm("")
    left = table(line, "archived_cases")
    assert left == {"archive.before_commit": 2, "archive.after_commit": 4}.get(point, 0)
    assert left + table(line, "cases") == 5
    assert write(line, tmp_path / "files").cases == 5 - left
    check_whole(line, tmp_path / "files", tmp_path)
    assert write(line, tmp_path / "files").files == []


def test_what_came_back_is_as_it_was(line_of_each: Line, tmp_path: Path) -> None:
    line = line_of_each
    closed_in_march(line, 1, 2)
    archive(line)
    consumed(line)
    kept = ("cases", "facts", "dead_letters", "contributions", "figures", "outcomes", "alerts", "notices")
    before = {name: rows(line, name) for name in kept}
    write(line, tmp_path / "files")
    assert rows(line, "figures") == before["figures"] and rows(line, "archived_figures")
    back = closed_years.bring_back(
        settings_for(line, tmp_path / "files"), line.engine.database, (), OPERATOR, lambda done: None
    )
    assert back.cases == 2
    assert {name: rows(line, name) for name in kept} == before
    assert not any(rows(line, name) for name in ("archives", "archived_cases", "archived_figures"))
    comment(line, 1, LATER + HOUR)
    line.engine.drain()
    assert answers(line) == [("archived", subject("WY01", 1))]


def rows(line: Line, name: str) -> list[tuple[Any, ...]]:
    with line.engine.database.read() as connection:
        return sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {name}")), key=repr)


def test_a_file_that_is_missing_or_was_changed_is_named(line: Line, tmp_path: Path) -> None:
    closed_in_march(line, 1)
    archive(line)
    [name] = write(line, tmp_path / "files").files
    file, elsewhere = tmp_path / "files" / name, tmp_path / name
    whole = closed_years.snapshot(settings_for(line, tmp_path / "files"))
    file.rename(elsewhere)
    with pytest.raises(ArchiveUnusable, match=f"lacks {name}"), whole(line.engine.database):
        pass
    text = gzip.decompress(elsewhere.read_bytes())
    for damaged in (elsewhere.read_bytes()[:-20], gzip.compress(text.replace(b"incident.closed", b"incident.closet"))):
        file.write_bytes(damaged)
        with pytest.raises(ArchiveUnusable, match="not the file that was written"), whole(line.engine.database):
            pass
        with pytest.raises(ArchiveUnusable, match=r"cannot be read|was changed"):
            list(read(file))
    cut = text.splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(cut[:-1])))
    with pytest.raises(ArchiveUnusable, match="breaks off"):
        list(read(file))
    lines, footer = cut[:-1], json.loads(cut[-1])["footer"]
    assert footer == {"lines": len(lines), "digest": sha256(b"".join(lines)).hexdigest()}


EDITS = {
    "a stub": ("DELETE FROM archived_cases", "archive"),
    "a changed figure": ("UPDATE archived_figures SET value = value + 1", "stored or archived figure"),
    "a figure": ("UPDATE figures SET value = value + 1", "figure"),
    "what was archived": ("UPDATE partitions SET archives = ''", "partition"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_verify_sees_an_edit_of_what_stands_for_a_case_that_has_left(line: Line, tmp_path: Path, edit: str) -> None:
    closed_in_march(line, 1)
    archive(line)
    write(line, tmp_path / "files")
    statement, what = EDITS[edit]
    with line.engine.database.begin() as connection:
        connection.exec_driver_sql(statement)
    found = verify(line.engine.database, snapshot=closed_years.snapshot(settings_for(line, tmp_path / "files")))
    assert what in {mismatch.what for mismatch in found}


@pytest.mark.parametrize("partitions", [1, 32])
def test_the_same_log_gives_the_same_facts_whatever_has_left(tmp_path: Path, partitions: int) -> None:
    """A log with archive records in the middle: in slices of one while rows leave between them, and all at once."""
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}", partitions, 1, 1, consumers=runs.consumers()) as engine:
        install(engine, pack_of("weiyang"))
        one = Line(engine)
        closed_in_march(one, 1, 2)
        one.say("case.commented", "WY-DISPATCH", APRIL + DAY, case=subject("WY01", 2), text="…")
        one.report(3, APRIL + DAY)
        one.report(4, APRIL + DAY)
        one.say("incident.merged", "WY-DISPATCH", APRIL + DAY, case=subject("WY01", 3), into=subject("WY01", 4))
        one.operate("archive", "no instant", LATER)
        for days in (0, 1, 300):
            archive(one, APRIL + days * DAY, LATER + days * DAY)
            if partitions == 1:
                write(one, tmp_path / "files")
            time = LATER + days * DAY + HOUR
            for number in (1, 2, 3, 4):
                comment(one, number, time)
            one.say("incident.merged", "WY-DISPATCH", time, case=subject("WY01", 4), into=subject("WY01", 1))
            engine.drain()
        consumed(one)
        log = list(export_log(engine))
        with closed_years.snapshot(settings_for(one, tmp_path / "files"))(engine.database) as connection:
            told = list(exports.steps_by_number(connection))
        check_whole(one, tmp_path / "files", tmp_path)
    with engine_on(f"sqlite:///{tmp_path / 'b.db'}", partitions) as again:
        replay_log(again, log)
        assert sorted(runs.steps(again), key=lambda step: (step.partition, step.n)) == told


def test_one_that_stands_waits_and_then_ends_as_if_it_had_not(line: Line, tmp_path: Path) -> None:
    closed_in_march(line, 2)
    line.report(1, NOW)
    with broken("case.commented"):
        comment(line, 1, NOW + HOUR)
        line.close(1, NOW + 2 * HOUR)
        archive(line)
        comment(line, 1, LATER + HOUR)
        work(line)
        assert write(line, tmp_path / "files").cases == 1  # of the other one
    again = restarted(line)
    work(again)
    assert [step.at for step in line.steps(1)][-1] == NOW + 2 * HOUR
    assert answers(line) == [("archived", subject("WY01", 1))]
    with line.engine.database.begin() as connection:
        connection.exec_driver_sql("UPDATE dead_letters SET size = 0")  # its bytes have gone
    assert write(again, tmp_path / "files").cases == 1
    check_whole(again, tmp_path / "files", tmp_path)


def test_the_words_of_a_case_that_has_left_are_erased_as_ever(line: Line, tmp_path: Path) -> None:
    line.report(1, NOW)
    comment(line, 1, NOW + HOUR)
    line.close(1, NOW + 2 * HOUR)
    archive(line)
    write(line, tmp_path / "files")
    assert erasure.erase(line.engine, subject("WY01", 1), OPERATOR).events == 1
    with line.engine.database.read() as connection:
        assert set(connection.exec_driver_sql("SELECT body FROM sealed").scalars()) == {""}
    check_whole(line, tmp_path / "files", tmp_path)


def test_it_is_not_ordered_before_its_time_nor_while_somebody_has_to_read(line: Line) -> None:
    line.engine.drain()
    closed_in_march(line, 1)
    line.operate("tick", "", LATER)
    line.engine.drain()
    with line.engine.database.begin() as connection:
        note_replayed(connection, "a file")  # its time is that of its log
    never, unread = "from 1970-01-01 to", "have not read all of partition 0"
    for before, why in ((-404991636522273, never), (LATER - 89 * DAY, "90 days back"), (APRIL, unread)):
        with pytest.raises(ValueError, match=why):
            leaving.order(line.engine, ArchiveWanted(before), OPERATOR)
    consumed(line)
    assert leaving.order(line.engine, ArchiveWanted(APRIL), OPERATOR) == 1
    line.engine.drain()
    assert line.engine.rows[0].clock == LATER  # no deadline fell due by it
    assert archiving.before_of(line.engine.rows[0], line.engine.rows[0].position) == APRIL


def test_a_survey_counts_what_then_leaves(line: Line, tmp_path: Path) -> None:
    closed_in_march(line, 1, 2)
    line.close(2, NOW + 2 * HOUR)  # refused, and its bytes are kept
    archive(line)
    consumed(line)
    with line.engine.database.read() as connection:
        found = leaving.survey(connection, APRIL)
    assert (found.leaving.cases, found.kept) == (1, 1) and found.leaving.bytes > 1000
    moved = write(line, tmp_path / "files")
    assert (moved.cases, moved.steps, moved.letters) == (1, found.leaving.steps, found.leaving.letters)


def test_a_topic_carries_the_word_as_the_table_does() -> None:
    headers = [("kind", b"archive"), ("principal", b"operator")]
    message = SimpleNamespace(partition=3, offset=4, timestamp=LATER, headers=headers, value=b'{"before":0}')
    assert row_of(message, 10) == InboxRow(3, 14, LATER, "archive", "operator", '{"before":0}')
