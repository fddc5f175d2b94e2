"""The assessor follows a log: it computes once, stores before it speaks, proposes once, restates, says nothing twice.

Enters: a quarter of seven streets, said to an engine on each kind of database. Leaves: sheets, cases, what `verify`
says, and the same facts where the exported log is replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from consumers.assessing.assessor import Assessor
from consumers.assessing.cards import Assessed
from consumers.assessing.loop import AssessorLoop
from consumers.assessing.sayings import proposal_subject, voice_of
from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine import admission
from engine.errors import LogMismatch
from engine.log_file import LogLines
from engine.policies import Policies
from engine.principals import ASSESSOR, LOCAL, Principal
from engine.replay import export_log, replay_log
from engine.store import clocks, incident_queries, sheets
from engine.store.database import open_database
from engine.store.sql import execute
from engine.views.assessment import AssessmentQuestion, assessment_page
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable
from engine.views.stored_sheets import record_of, row_of, stored_page
from engine.writer import Writer
from gridpatrol.run.assessing import assess_all
from lab import runs
from lab.runs import consumers, engine_on, install
from schemas.kinds.assessment import COMPUTED, Assessment
from schemas.kinds.supervision import Supervision
from schemas.refusals import Refusal
from tests.integration.test_console import as_post, close_browsers, get, send
from tests.simulation.line import Line
from tests.support.builders import BARE, HOTLINE, HOUR, at, changed, event, shipped, subject
from tests.support.recorded import gridpatrol
from tests.support.serving import served, wait_until
from workflows.assessment.filed import decode, subject_of
from workflows.case import Case
from workflows.case import decode as decode_case
from workflows.reading import READS_EVERYTHING, Readable, Sight

__all__ = ["close_browsers"]  # a fixture that closes what a test has opened
LINES = ("set-aside", "rework")
"""The lines of the town's cards: the others count what nobody does here."""
TOWN = changed(
    shipped(),
    options={"min_n": 1, "grace_days": 1},
    duties=(),
    scorecards=tuple(
        replace(row, zero_at=10_000, full_at=0) for row in shipped().pack.scorecards if row.indicator in LINES
    ),
)
QUARTER = AssessmentQuestion(card="TOWN-QUARTER", period="2026-Q1")
CASE = subject_of(TOWN, "TOWN-QUARTER", 20260101)
STREETS = [f"WY0{k}" for k in range(1, 8)]
BEGUN, CHECKED, AFTER, LATER = at("03-30 09:00"), at("03-31 20:00"), at("04-02 10:00"), at("04-03 12:00")
WORST = "WY07"


def case_of(line: Line, id_: str = CASE) -> Case | None:
    with line.engine.database.read() as connection:
        body = incident_queries.read_case(connection, id_)
    return decode_case(body.encode()) if body is not None else None


def own_of(line: Line, id_: str = CASE) -> Assessment:
    """What the assessment keeps."""
    case = case_of(line, id_)
    assert case is not None and isinstance(case.own, Assessment)
    return case.own


def supervisions(line: Line) -> dict[tuple[str, str], Case]:
    """By unit and action, the supervisions that the assessor has proposed."""
    with line.engine.database.read() as connection:
        rows = execute(connection, "SELECT body FROM cases WHERE definition = 'supervision' ORDER BY id").scalars()
        cases = [decode_case(body.encode()) for body in rows]
    found = {}
    for case in cases:
        assert isinstance(case.own, Supervision)
        assert (case.own.unit, case.category) not in found  # nobody is hit twice
        found[case.own.unit, case.category] = case
    return found


def due_one() -> Assessed:
    """The quarter as the assessor knows it."""
    return Assessed(CASE, QUARTER.card, QUARTER.period, 20260101, 20260331, 0)


def said_by_assessor(line: Line) -> list[str]:
    """The types of the records that the assessor has put into the log."""
    with line.engine.database.read() as connection:
        sql = "SELECT body FROM inbox WHERE principal = 'assessor' ORDER BY stamp, position"
        return [msgspec.json.decode(body)["event"]["type"] for body in execute(connection, sql).scalars()]


def work(line: Line, when: int, kind: str, by: str, **rest: Any) -> None:
    """Say something that arrives at an instant, decide it, and let the figures follow."""
    occurred, letters = rest.pop("occurred", when), line.letters()
    line.engine.append([line.submission(kind, by, occurred, **rest)], when)
    line.engine.drain()
    assert line.letters() == letters


def quarter(line: Line) -> None:
    """A problem of each street that is solved at the first time. The worst street has one that is not, too, and the
    first one two that wait for their check."""
    for k, street in enumerate(STREETS, 1):
        for number in {"WY01": (1, 21, 41), WORST: (7, 27)}.get(street, (k,)):
            case = subject(street, number)
            told = {"category": BARE, "source": "hotline", "grid": f"{street}-01"}
            work(line, BEGUN, "report.submitted", HOTLINE, case=case, **told)
            work(line, BEGUN + HOUR, "incident.accepted", f"{street}-CHIEF", case=case)
            work(line, BEGUN + 2 * HOUR, "handling.completed", f"{street}-CHIEF", case=case)
            if number < 20 or street == WORST:
                outcome = "solved" if number < 20 else "unsolved"
                work(line, CHECKED, "verification.recorded", f"{street}-01-CHIEF", case=case, outcome=outcome)


def check_offline(line: Line, when: int) -> None:
    """The checks of the cases that wait, recorded on the last day of the quarter, and sent when the phone came back."""
    for number in (21, 41):
        checked = {"occurred": CHECKED + HOUR, "case": subject("WY01", number), "outcome": "unsolved"}
        work(line, when, "verification.recorded", "WY01-01-CHIEF", **checked)


def moved(line: Line, when: int, *homes: str) -> None:
    """Something of no matter moves the clocks of the partitions of these homes."""
    for home in homes or ("WY12",):
        told = {"category": BARE, "source": "hotline", "grid": home if home == "XA" else f"{home}-01"}
        work(line, when, "report.submitted", HOTLINE, case=subject(home, when // HOUR % 10_000), **told)


def published(line: Line, when: int, case: str = CASE) -> None:
    """The current sheet is commented on and signed."""
    hash_ = own_of(line, case).hash
    work(line, when, "assessment.commented", "XA-OFFICE", case=case, hash=hash_, note="…")
    work(line, when, "assessment.published", "XA-CHIEF", case=case, hash=hash_)


@contextmanager
def town(url: str, partitions: int = 1) -> Iterator[Line]:
    """A line on which the quarter is said."""
    with engine_on(url, partitions, consumers=consumers()) as engine:
        install(engine, TOWN.pack)
        line = Line(engine)
        quarter(line)
        yield line


@pytest.mark.mechanism("M57", "M82")
def test_a_sheet_is_computed_when_its_time_has_come_and_once(database_url: str, tmp_path: Path) -> None:
    with town(database_url) as line:
        engine = line.engine
        assert assess_all(engine) == 0  # the period has not ended
        moved(line, at("04-01 23:00"))
        assert assess_all(engine) == 0  # nor its grace
        moved(line, AFTER)
        assert assess_all(engine) == 3  # cards that assess by the quarter
        assert set(said_by_assessor(line)) == {f"gridpatrol.{COMPUTED}.v1"}
        assert assess_all(engine) == 0  # another one, which has seen nothing of it
        own = own_of(line)
        with engine.database.read() as connection:
            page = assessment_page(connection, Policies(), QUARTER, LATER)
            stored = stored_page(connection, Policies(), own.hash)
            assert (page.sheet, page.scores) == (own.hash, stored.scores)  # what anybody computes is what is stored
            assert (stored.reading, page.proposals == stored.proposals) == ("stored", True)
            placed = [each.key for each in stored.scores if each.place is not None]
            assert (len(placed), placed[-1]) == (7, WORST)
            mine = Readable("street", Sight(prefixes=("/XA/WY/WY01/",)))
            part = stored_page(connection, Policies(), own.hash, mine)
            assert [each.key for each in part.scores] == ["WY01"]
            assert part.unread == len(stored.scores) - 1
            with pytest.raises(NotReadable):
                stored_page(connection, Policies(), own.hash, Readable("nobody"))
            with pytest.raises(BadQuestion):
                stored_page(connection, Policies(), "0" * 64, READS_EVERYTHING)
        assert verify(engine.database) == []
        assert replayed_beside(engine, tmp_path) == []


def test_by_the_pages_an_office_comments_and_a_chief_signs(tmp_path: Path) -> None:
    """The sheet leads to its case, whose forms know of which sheet they speak."""
    with town(f"sqlite:///{tmp_path / 'town.db'}") as line:
        moved(line, AFTER)
        assert assess_all(line.engine) == 3
        current = own_of(line).hash
        with line.engine.database.begin() as connection:
            clocks.note_replayed(connection, "a test")  # the wall is months after the log, and that is right
        with served(line.engine) as running:
            office, chief = (as_post(running, code) for code in ("XA-OFFICE", "XA-CHIEF"))
            assert f"/cases/{CASE}" in get(office, "/assessment?card=TOWN-QUARTER&period=2026-Q1").text
            for client, trigger in ((office, "assessment.commented"), (chief, "assessment.published")):
                form = get(client, f"/cases/{CASE}").form(f"/cases/{CASE}/acts", trigger=trigger)
                assert form["hash"] == current
                assert send(client, f"/cases/{CASE}/acts", form).status_code == 303
            page = get(chief, f"/assessment?hash={current}")
            assert "存档" in page.text and f"已公布的得分表 {current[:12]}" in page.text
        assert own_of(line).published == current


def test_a_crash_between_storing_and_saying_says_it_once(database_url: str) -> None:
    class Crash(Exception):
        """The process is gone."""

    def crash(raw: bytes) -> None:
        raise Crash

    with town(database_url) as line:
        moved(line, AFTER)
        with pytest.raises(Crash):
            Assessor(line.engine.database, crash).turn()
        with line.engine.database.read() as connection:
            kept = [row.hash for row in sheets.read_sheets(connection)]
        assert len(kept) == 1 and case_of(line) is None
        assert assess_all(line.engine) == 3
        with line.engine.database.read() as connection:
            assert kept[0] in {row.hash for row in sheets.read_sheets(connection)}
            assert len([*sheets.read_sheets(connection)]) == 3


def test_two_that_say_the_same_make_one_case(database_url: str) -> None:
    with town(database_url) as line:
        moved(line, AFTER)
        said: list[bytes] = []
        for _ in range(2):  # both look before either is heard
            Assessor(line.engine.database, said.append).turn()
        assert len(said) == 6 and said[:3] == said[3:]
        for raw in said:
            admitted = admission.admit(raw, ASSESSOR, 1)
            assert not isinstance(admitted, Refusal)
            line.engine.append([admitted[0]], AFTER)
        line.engine.drain()
        steps = [step for step in runs.steps(line.engine) if step.case_id == CASE]
        assert len(steps) == 1 and own_of(line).number == 1
        assert verify(line.engine.database) == []


def test_what_a_published_sheet_proposes_is_proposed_once_and_taken_back_when_it_is_restated(
    database_url: str, tmp_path: Path
) -> None:
    with town(database_url) as line:
        engine = line.engine
        moved(line, AFTER)
        assess_all(engine)
        assert supervisions(line) == {}  # nothing is proposed by what nobody has signed
        foretold = proposal_subject(TOWN, due_one(), "grid", "last:1@2:exposure", WORST)
        told = {"category": BARE, "source": "hotline", "grid": f"{WORST}-01"}
        work(line, AFTER, "report.submitted", HOTLINE, case=foretold, **told)  # nobody escapes by taking its id
        first = own_of(line).hash
        published(line, AFTER + HOUR)
        assess_all(engine)
        proposed = supervisions(line)
        assert set(proposed) == {(WORST, "exposure"), (WORST, "watch")}
        assert foretold not in {each.id for each in proposed.values()}
        assert assess_all(engine) == 0
        decided = proposed[WORST, "exposure"]
        for trigger in ("supervision.decided", "supervision.served", "supervision.cleared"):
            work(line, AFTER + 2 * HOUR, trigger, "XA-OFFICE", case=decided.id)

        check_offline(line, AFTER + 3 * HOUR)  # late facts
        assert assess_all(engine) == 0  # at most once a day
        moved(line, LATER)
        assert assess_all(engine) == 1
        own, case = own_of(line), case_of(line)
        assert case is not None and (case.state, own.published) == ("restating", first)
        assert supervisions(line)[WORST, "watch"].state == "proposed"  # nothing follows from what is not signed
        work(line, LATER + HOUR, "assessment.restated", "XA-CHIEF", case=CASE, hash=own.hash)
        assess_all(engine)
        after = supervisions(line)
        with engine.database.read() as connection:
            meant = {(each.subject, each.action) for each in stored_page(connection, Policies(), own.hash).proposals}
        assert meant == {("WY01", "exposure"), ("WY01", "watch")}
        assert after[WORST, "watch"].state == "withdrawn"
        shown = after[WORST, "exposure"].own
        assert isinstance(shown, Supervision) and shown.contested
        assert {key for key, each in after.items() if each.state == "proposed"} == meant
        assert assess_all(engine) == 0
        work(line, LATER + 2 * HOUR, "supervision.revoked", "XA-OFFICE", case=decided.id, reason="restated")
        dropped = supervisions(line)["WY01", "exposure"].id
        work(line, LATER + 3 * HOUR, "supervision.decided", "XA-OFFICE", case=dropped)
        work(line, LATER + 4 * HOUR, "supervision.revoked", "XA-OFFICE", case=dropped, reason="error")
        assert assess_all(engine) == 0  # what an office has dropped before it was served is not proposed again

        assert verify(engine.database) == []
        assert replayed_beside(engine, tmp_path) == []
        log = list(export_log(engine))
        with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 1, consumers=consumers()) as again:
            replay_log(again, log)
            assert runs.steps(again) == runs.steps(engine)
            with again.database.read() as one, engine.database.read() as other:
                assert [*sheets.read_sheets(one)] == [*sheets.read_sheets(other)] != []
            assert assess_all(again) == 0  # a log that goes live again says nothing twice
        broken = [line_.replace(b'\\"form\\":1', b'\\"form\\":2') if b'{"sheet"' in line_ else line_ for line_ in log]
        with pytest.raises(LogMismatch, match="sheet is not what its hash says"):
            list(LogLines(broken, unchecked=True))


def test_who_takes_the_id_of_an_assessment_or_decides_what_is_taken_back_changes_nothing(tmp_path: Path) -> None:
    with town(f"sqlite:///{tmp_path / 'town.db'}") as line:
        engine, database = line.engine, line.engine.database
        told = {"category": BARE, "source": "hotline", "grid": "XA"}
        work(line, AFTER, "report.submitted", HOTLINE, case=CASE, **told)  # its id could be foretold
        moved(line, AFTER)
        log = tmp_path / "log.jsonl"
        log.write_bytes(b"\n".join(export_log(engine)) + b"\n")
        assert assess_all(engine) == 3
        url = f"sqlite:///{tmp_path / 'replayed.db'}"
        gridpatrol("replay", log, "--assess", "--database", url, partitions="1")
        with closing(open_database(url)) as other, other.read() as connection, database.read() as here:
            assert [*sheets.read_sheets(connection)] == [*sheets.read_sheets(here)] != []
        case = subject_of(TOWN, QUARTER.card, 20260101, 1)
        with database.read() as connection:
            record = record_of(connection, Policies(), assessment_page(connection, Policies(), QUARTER, LATER))
        assert record is not None and (record.case, record.hash) == (case, own_of(line, case).hash)
        published(line, AFTER + HOUR, case)
        assert assess_all(engine) == 2

        check_offline(line, AFTER + 3 * HOUR)
        moved(line, LATER)
        assert assess_all(engine) == 1
        work(line, LATER + HOUR, "assessment.restated", "XA-CHIEF", case=case, hash=own_of(line, case).hash)
        said: list[bytes] = []
        assessor = Assessor(database, said.append)
        assessor.turn()
        decided = supervisions(line)[WORST, "exposure"]
        work(line, LATER + 2 * HOUR, "supervision.decided", "XA-OFFICE", case=decided.id)  # before that is heard
        letters = len(line.letters())

        def hear(when: int) -> None:
            admitted = [admission.admit(raw, ASSESSOR, 1) for raw in said]
            engine.append([each[0] for each in admitted if not isinstance(each, Refusal)], when)
            engine.drain()
            said.clear()

        hear(LATER + 2 * HOUR)
        assert len(line.letters()) == letters + 1 and case_of(line, decided.id).state == "approved"  # type: ignore[union-attr]
        moved(line, LATER + 5 * HOUR)
        assert assessor.turn() == 1
        hear(LATER + 5 * HOUR)
        shown = supervisions(line)[WORST, "exposure"].own
        assert isinstance(shown, Supervision) and shown.contested
        moved(line, LATER + 8 * HOUR)
        assert assessor.turn() == assess_all(engine) == 0


def test_a_halted_partition_is_named_and_the_sheet_is_computed_anew_when_it_goes_on(database_url: str) -> None:
    with town(database_url, partitions=2) as line:
        engine = line.engine
        halted = 1 - engine.partition(CASE)
        homes = {engine.partition(subject(home)): home for home in (*STREETS, "WY12")}.values()
        moved(line, AFTER, *homes)
        engine.partitions.halt(halted, "for a test")
        assert assess_all(engine) == 3
        own = own_of(line)
        with engine.database.read() as connection:
            page = stored_page(connection, Policies(), own.hash)
        assert (own.standing, page.still, page.stands.halted) == (1, 1, (halted,))
        assert assess_all(engine) == 0  # it stands still, as the sheet says
        work(line, AFTER + HOUR, "assessment.commented", "XA-OFFICE", case=CASE, hash=own.hash)
        line.say("assessment.published", "XA-CHIEF", AFTER + HOUR, case=CASE, hash=own.hash)
        engine.drain()
        assert own_of(line).published == "" and [letter[0] for letter in line.letters()] == ["impossible"]
        assert verify(engine.database) == []  # such a sheet is compared with nothing

        with engine.database.begin() as connection:
            execute(connection, "UPDATE partitions SET halted = ''")
        engine.reload()
        moved(line, LATER, *homes)
        assert assess_all(engine) == 3
        after, case = own_of(line), case_of(line)
        assert (after.standing, after.number, after.as_of, case and case.state) == (0, 2, own.as_of, "computed")
        assert after.hash != own.hash


def test_verify_sees_a_sheet_that_was_changed(database_url: str) -> None:
    with town(database_url) as line:
        moved(line, AFTER)
        assess_all(line.engine)
        hash_ = own_of(line).hash
        with line.engine.database.begin() as connection:
            row = sheets.read_sheet(connection, hash_)
            assert row is not None
            sheet = decode(row.body)
            better = replace(sheet.scores[-1], total=10_000)
            other = replace(sheet, scores=(*sheet.scores[:-1], better))
            body = msgspec.json.encode(other).decode()
            execute(connection, "UPDATE sheets SET body = ? WHERE hash = ?", body, hash_)
        found = [mismatch for mismatch in verify(line.engine.database) if mismatch.what == "sheet"]
        assert len(found) == 1 and hash_ in found[0].expected
        with line.engine.database.begin() as connection:  # under a hash of its own it does not follow from the facts
            execute(connection, "DELETE FROM sheets WHERE hash = ?", hash_)
            sheets.write_sheet(connection, row_of(other))
        found = [mismatch for mismatch in verify(line.engine.database) if mismatch.what == "sheet"]
        assert len(found) == 1 and "place" in found[0].expected


def test_only_the_assessor_says_that_a_sheet_was_computed() -> None:
    data = {"card": "YEAR", "period": "2026", "as_of": "2027-01-05T00:00:00+08:00", "hash": "1" * 64}
    raw = msgspec.json.encode(event(COMPUTED, "XA-ASSESSOR", AFTER, case=CASE, id="c", **data))
    for principal in (LOCAL, Principal("other", patterns=("*",))):
        refused = admission.admit(raw, principal, 1)
        assert isinstance(refused, Refusal) and refused.field == "type"
    assert not isinstance(admission.admit(raw, ASSESSOR, 1), Refusal)
    assert voice_of(changed(TOWN, posts=tuple(post for post in TOWN.pack.posts if not post.machine))) is None


def test_of_two_processes_one_speaks_by_its_writer(database_url: str) -> None:
    with town(database_url) as line:
        moved(line, AFTER)
        with line.engine.database.begin() as connection:
            clocks.note_replayed(connection, "a test")  # its time is that of the test
        writer = Writer(line.engine)
        writer.start()
        loops = [AssessorLoop(writer, leased=True) for _ in range(2)]
        try:
            for loop in loops:
                loop.start()
            wait_until(lambda: case_of(line) is not None)
            wait_until(lambda: len(said_by_assessor(line)) == 3)
            assert [loop.failure for loop in loops] == [None, None]
            assert sorted(loop.lease is None for loop in loops) == [False, True]
        finally:
            for loop in loops:
                loop.stop()
            writer.stop()
        assert len(said_by_assessor(line)) == 3 and own_of(line).number == 1
