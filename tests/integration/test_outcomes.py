"""What became of all that a source has sent: asked with the last place, no outcome is missed and none comes twice.

Enters: events of one phone, decided by an engine on each database. Leaves: answers of `/v1/outcomes` and of the view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sql_events

from consumers.alerts import fold
from consumers.verify import verify
from engine.clock import now_ms
from engine.operations import resubmission
from engine.policies import Policies
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.store import dead_letters, event_outcomes, slices, tables, writes
from engine.store.database import Connection
from engine.store.rows import OUTCOMES_A_VERSION, SeenRow
from engine.views.outcomes import OutcomePage, OutcomeQuestion, outcome_page
from engine.views.questions import BadQuestion
from schemas.refusals import Reason, Refusal
from tests.support.builders import DAY, HOTLINE, LEAF, MEMBER, OPERATOR, event, subject
from tests.support.serving import Served, prepared, served, tell
from tests.support.settings_files import read_at_once

SOURCE = "app/test"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database, with the sample pack."""
    with prepared(database_url) as opened:
        yield opened


def ask(engine: Engine, after: str = "", limit: int = 100, source: str = SOURCE) -> OutcomePage:
    """An answer to somebody who may see everything."""
    question = OutcomeQuestion(source=source, after=after, limit=limit)
    with engine.database.read() as connection:
        return outcome_page(connection, Policies(), question, lambda row: True)


def told(page: OutcomePage) -> list[tuple[str, str]]:
    return [(each.id, each.outcome) for each in page.outcomes]


def report(id_: str, at: int, home: str = "WY01", number: int = 1) -> dict[str, Any]:
    said = {"category": "D3-01", "source": "hotline", "grid": f"{home}-01"}
    return event("report.submitted", HOTLINE, at, case=subject(home, number), id=id_, **said)


def comment(id_: str, at: int, home: str = "WY01", number: int = 1) -> dict[str, Any]:
    return event("comment.added", HOTLINE, at, case=subject(home, number), id=id_, text="…")


def test_what_waited_comes_again_when_it_is_decided_and_a_resend_does_not(engine: Engine) -> None:
    now = now_ms()
    assert ask(engine).outcomes == []
    assert tell(engine, comment("early", now), now) == "parked"
    first = ask(engine)
    assert told(first) == [("early", "parked")] and first.outcomes[0].waits_for and first.outcomes[0].until
    assert tell(engine, comment("early", now), now + 1) == "duplicate"
    assert told(ask(engine, first.next)) == []
    assert tell(engine, report("report", now), now + 2) == "done"
    second = ask(engine, first.next)
    assert told(second) == [("report", "done"), ("early", "done")]  # the report let it go on
    assert second.outcomes[0].place is not None and second.outcomes[0].place.grid == LEAF
    assert {each.case for each in second.outcomes} == {subject("WY01", 1)}
    assert tell(engine, report("report", now), now + 3) == "duplicate"
    assert told(ask(engine, second.next)) == []
    assert told(ask(engine)) == told(second)  # whoever begins now hears of each event once
    assert ask(engine, source="app/other").outcomes == []
    assert verify(engine.database, live=True) == []


def test_a_late_refusal_a_refusal_and_a_conflict_are_told_with_their_reasons(engine: Engine) -> None:
    now = now_ms()
    tell(engine, comment("in-vain", now - 40 * DAY), now - 40 * DAY)
    first = ask(engine)
    assert told(first) == [("in-vain", "parked")]
    assert tell(engine, report("report", now - 9), now - 9) == "done"
    late = ask(engine, first.next)
    refused = {each.id: each for each in late.outcomes}
    assert refused["in-vain"].outcome == "refused" and refused["in-vain"].reason == "expired"
    assert refused["in-vain"].detail and refused["report"].outcome == "done"
    assert tell(engine, report("again", now - 8), now - 8) == "refused"
    other = report("report", now - 9) | {"data": {"category": "D3-04", "source": "hotline", "grid": LEAF}}
    assert tell(engine, other, now - 7) == "conflict"
    last = ask(engine, late.next)
    assert told(last) == [("again", "refused"), ("report", "conflict")]
    assert [each.reason for each in last.outcomes] == ["impossible", "conflict"]
    assert [each.field for each in last.outcomes] == ["subject", "id"]
    assert told(ask(engine, last.next)) == []


def test_a_letter_that_an_operator_replays_is_told_to_who_sent_it(engine: Engine) -> None:
    now = now_ms()
    assert tell(engine, comment("waits", now - 40 * DAY), now - 40 * DAY) == "parked"
    tell(engine, report("report", now), now)  # the other one was given up before
    place = ask(engine).next
    with engine.database.read() as connection:
        (letter,) = [row[0] for row in connection.exec_driver_sql("SELECT id FROM dead_letters")]
    assert resubmission.replay(engine, letter, OPERATOR).outcome == "done"
    again = ask(engine, place)
    assert told(again) == [("waits", "done")]
    with engine.database.read() as connection:
        senders = connection.exec_driver_sql("SELECT DISTINCT principal FROM seen").scalars().all()
    assert senders == ["test"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_several_partitions_put_together_are_all_outcomes_once(engine: Engine, limit: int) -> None:
    """Also what is decided while somebody pages: it comes behind, wherever it lies."""
    now, sent = now_ms(), list[str]()
    homes = ["WY01", "WY02", "WY03", "WY04", "WY05"]
    for number in range(14):
        sent.append(f"e{number}")
        assert tell(engine, report(sent[-1], now + number, homes[number % 5], number), now + number) == "done"
    with engine.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(DISTINCT partition) FROM seen").scalar_one() > 1
    found, after, turns = list[str](), "", 0
    while True:
        page = ask(engine, after, limit)
        found += [each.id for each in page.outcomes]
        after, turns = page.next, turns + 1
        if turns == 2:  # into the partitions that have been read, and those that have not
            for number in range(14, 19):
                sent.append(f"e{number}")
                tell(engine, report(sent[-1], now + number, homes[number % 5], number), now + number)
        if not page.more and turns > 2:
            break
    assert sorted(found) == sorted(sent)
    if limit < 100:
        assert found[:6] == sent[:6]  # in the order in which they were decided
    assert told(ask(engine, after)) == []


def test_after_a_restore_all_is_told_anew(engine: Engine) -> None:
    now = now_ms()
    tell(engine, report("report", now), now)
    place = ask(engine).next
    assert not ask(engine, place).restarted
    fold.restart_feed(engine.database)
    again = ask(engine, place)
    assert again.restarted and told(again) == [("report", "done")]
    assert not ask(engine, again.next).restarted and told(ask(engine, again.next)) == []


def test_a_place_of_another_source_and_one_that_is_none_are_refused(engine: Engine) -> None:
    place = ask(engine).next
    for source, after in (("app/other", place), (SOURCE, "x"), (SOURCE, place[:-4])):
        with pytest.raises(BadQuestion) as refused:
            ask(engine, after, source=source)
        assert refused.value.field == "after"
    with pytest.raises(BadQuestion):
        ask(engine, source="")
    with pytest.raises(BadQuestion):
        ask(engine, limit=0)


def test_outcomes_of_an_earlier_release_come_first_and_it_is_said_what_has_left(engine: Engine) -> None:
    now = now_ms()
    tell(engine, report("report", now), now)
    with engine.database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE seen SET decided = position - {10**15}, principal = ''")
    page = ask(engine)
    assert told(page) == [("report", "done")] and page.left_before is None
    tell(engine, comment("more", now + 1), now + 1)
    assert told(ask(engine, page.next)) == [("more", "done")]
    assert told(ask(engine)) == [("report", "done"), ("more", "done")]


def plans(engine: Engine, question: Callable[[Connection], object]) -> list[str]:
    """How the database answers the statements of a question, where a source has sent fifty events."""
    rows = [
        SeenRow(0, SOURCE, f"e{n}", "WY01", "A", "d", 1, n, "done", "", "", "", "c", OUTCOMES_A_VERSION + n)
        for n in range(50)
    ]
    with engine.database.begin() as connection:
        writes.insert(connection, tables.seen, rows)
    asked = list[tuple[str, Any]]()
    with engine.database.read() as connection:

        def note(_: Any, cursor: Any, statement: str, values: Any, *rest: Any) -> None:
            asked.append((statement, values))

        sql_events.listen(connection, "before_cursor_execute", note)
        question(connection)
        sql_events.remove(connection, "before_cursor_execute", note)
        word = "EXPLAIN QUERY PLAN" if engine.database.dialect == "sqlite" else "EXPLAIN"
        if word == "EXPLAIN":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [str(connection.exec_driver_sql(f"{word} {text}", values).all()) for text, values in asked]


def test_each_page_goes_along_an_index(engine: Engine) -> None:
    def ask_for_ten(connection: Connection) -> None:
        last = {event_outcomes.AT_INTAKE: 9, 0: 3 * OUTCOMES_A_VERSION, 1: 9}
        found = event_outcomes.read(connection, SOURCE, {}, last, 10)
        assert [row.id for row in found[0]] == [f"e{n}" for n in range(10)] and found[1] == []

    for plan in plans(engine, ask_for_ten):
        assert "seen_source" in plan or "dead_letters_conflicts" in plan, plan
        assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan


def test_an_event_is_looked_up_by_its_key_however_many_its_source_has_sent(engine: Engine) -> None:
    key = (0, SOURCE, "e7", "WY01", "A")

    def look_up(connection: Connection) -> None:
        assert [row.key for row in slices.read_seen(connection, [key])] == [key]

    [plan] = plans(engine, look_up)
    assert "seen_pkey" in plan or "INDEX sqlite_autoindex_seen_1" in plan, plan
    assert "seen_source" not in plan, plan


# ---- what an intake refuses ---------------------------------------------------------------------------------


def refused_at_intake(engine: Engine, *letters: tuple[int, str], source: str = SOURCE, sender: str = "test") -> None:
    """Let the intake of a system refuse messages: offset and id of the event."""
    with engine.database.begin() as connection:
        why = Refusal(Reason.FORBIDDEN, "actor", "it may not speak for this post")
        dead_letters.write(
            connection,
            [
                dead_letters.dead_letter(
                    f"intake-{sender}-0-{offset}", now_ms(), why, sender, "{}", source=source, event_id=id_
                )._replace(at_intake=True)
                for offset, id_ in letters
            ],
        )


def test_what_an_intake_refuses_is_told_once_in_its_order_among_what_was_decided(engine: Engine) -> None:
    now = now_ms()
    tell(engine, report("report", now), now)
    first = ask(engine)
    assert told(first) == [("report", "done")]
    refused_at_intake(engine, (1, "a"), (2, "b"))
    refused_at_intake(engine, (3, "elsewhere"), source="app/other")
    second = ask(engine, first.next)
    assert told(second) == [("a", "refused"), ("b", "refused")]
    assert (second.outcomes[0].reason, second.outcomes[0].field) == ("forbidden", "actor")
    assert second.outcomes[0].partition is None and second.outcomes[0].position is None
    refused_at_intake(engine, (2, "b"), (4, "c"))  # a gateway died before it had committed its offset
    third = ask(engine, second.next)
    assert told(third) == [("c", "refused")]
    assert told(ask(engine, third.next)) == [] and len(ask(engine).outcomes) == 4
    assert told(ask(engine, source="app/other")) == [("elsewhere", "refused")]
    found, after = list[tuple[str, str]](), ""
    while (page := ask(engine, after, limit=1)).outcomes or page.more:
        found, after = found + told(page), page.next
    assert sorted(found) == sorted(told(ask(engine))), "page by page as well"


# ---- who is told --------------------------------------------------------------------------------------------

TOKENS = {name: new_token() for name in ("phone", "other", "all")}
FILE = "".join(
    f'[principal.{name}]\nactors = ["{actors}"]\ntokens = ["{digest_of(TOKENS[name])}"]\n'
    for name, actors in (("phone", MEMBER), ("other", MEMBER), ("all", "*"))
)


@pytest.fixture
def door(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A door that asks who speaks."""
    read_at_once(monkeypatch)
    file = tmp_path / "principals.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    with prepared(sqlite_url, principals=str(file)) as engine, served(engine) as running:
        yield running


def asked_by(door: Served, name: str, **query: Any) -> Any:
    header = {"Authorization": f"Bearer {TOKENS[name]}"}
    answer = door.client.get("/v1/outcomes", params={"source": SOURCE} | query, headers=header)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_principal_that_sent_an_event_is_told_and_no_other_one(door: Served) -> None:
    said = event("report.submitted", MEMBER, now_ms(), category="D3-01", source="patrol", grid=LEAF)
    header = {"Authorization": f"Bearer {TOKENS['phone']}", "Prefer": "wait=20"}
    assert door.post(said, **header).json()["outcome"] == "done"
    mine = asked_by(door, "phone")
    assert [(each["id"], each["outcome"], each["actor"]) for each in mine["outcomes"]] == [("e1", "done", MEMBER)]
    assert mine["outcomes"][0]["decided_at"] and mine["more"] is False and mine["restarted"] is False
    for name in ("other", "all"):
        assert asked_by(door, name)["outcomes"] == []
    with door.engine.database.begin() as connection:  # an earlier release did not keep who sent it
        connection.exec_driver_sql("UPDATE seen SET principal = ''")
    assert [len(asked_by(door, name)["outcomes"]) for name in ("other", "all")] == [1, 1]
    assert door.client.get("/v1/outcomes", params={"source": SOURCE}).status_code == 401


def test_the_system_whose_intake_refused_is_told_and_no_other_one(door: Served) -> None:
    refused_at_intake(door.engine, (1, "mine"), sender="phone")
    assert [(each["id"], each["outcome"]) for each in asked_by(door, "phone")["outcomes"]] == [("mine", "refused")]
    assert asked_by(door, "other")["outcomes"] == [] == asked_by(door, "all")["outcomes"]


def test_a_page_of_what_others_sent_is_passed_over_and_not_stopped_at(door: Served) -> None:
    """Somebody who uses another's source sees nothing of it, and comes to his own."""
    for name, number in (("phone", 0), ("phone", 1), ("phone", 2), ("other", 3)):
        said = event(
            "report.submitted", MEMBER, now_ms(), case=subject("WY01", number), id=f"e{number}", category="D3-01",
            source="patrol", grid=LEAF,
        )  # fmt: skip
        door.post(said, Authorization=f"Bearer {TOKENS[name]}", Prefer="wait=20")
    after, found = "", list[str]()
    for _ in range(6):
        page = asked_by(door, "other", after=after, limit=1)
        found, after = found + [each["id"] for each in page["outcomes"]], page["next"]
        if not page["more"]:
            break
    assert found == ["e3"]


def test_it_is_said_before_when_outcomes_may_have_left_with_their_cases(engine: Engine) -> None:
    now = now_ms()
    tell(engine, report("report", now), now)
    with engine.database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO archives (name, partition, before) VALUES ('a', 0, 1772413200000)")
    assert ask(engine).left_before == "2026-03-02T01:00:00.000Z"
