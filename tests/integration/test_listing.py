"""Key areas from the serving to the duties of the night, on each database: the same whatever the slices and partitions.

Enters: what posts say in March 2026 under a pack whose `watch` lists; first without duties, then with some. Leaves: the
facts of each case, in bytes; what a phone and the list of duties show; the story of a case.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine.policies import Policies
from engine.principals import Principal
from engine.replay import export_log, replay_events, replay_log
from engine.runtime import Engine
from engine.store import exports
from engine.views.duties import DutyQuestion, duty_page
from engine.views.names import active_names
from engine.views.phone_pack import phone_pack
from gridpatrol.render.story import story
from lab import runs
from lab.runs import engine_on, install
from schemas import facts
from schemas.derived_ids import home_subject
from schemas.facts import decode_facts
from tests.support.builders import BARE, DAY, HOTLINE, LEAF, MEMBER, at, event, shipped, subject
from tests.unit.test_listing import EXTRA, RULES
from workflows.policy.model import Pack

ACTIVATED, UNTIL = at("03-04 08:00"), at("03-09 12:00")
WATCH, BEFORE, WITHIN, AFTER = (subject("WY01", number) for number in (1, 2, 3, 4))
OTHER = "WY01-02-MEMBER"


def owing() -> Pack:
    """The pack with patrols, and further ones in key areas."""
    return replace(RULES.pack, duties=(*shipped().pack.duties[:1], EXTRA))


def said(kind: str, by: str, when: int, case: str, **data: Any) -> bytes:
    """An event that arrives when it occurs."""
    return json.dumps(event(kind, by, when, case=case, id=f"{kind}-{when}", **data)).encode()


def told(when: int, case: str) -> bytes:
    """A problem of the leaf."""
    return said("report.submitted", HOTLINE, when, case, category=BARE, source="hotline", grid=LEAF)


FIRST = [
    told(at("03-02 08:30"), BEFORE),
    said(
        "supervision.proposed", "WY-SUPERVISOR", at("03-02 09:00"), WATCH, action="watch", grid=LEAF, until="2026-03-31"
    ),
    said("supervision.decided", "WY-OFFICE", at("03-02 09:30"), WATCH),
    said("supervision.served", "WY-OFFICE", at("03-02 10:00"), WATCH),
    told(at("03-02 10:00"), WITHIN),
]
SECOND = [
    said("supervision.revoked", "WY-OFFICE", at("03-07 00:01"), WATCH, reason="settled"),
    told(at("03-07 09:00"), AFTER),
]


def run(engine: Engine) -> None:
    """The days up to an activation that knows duties, and those after it."""
    install(engine, RULES.pack)
    replay_events(engine, FIRST, "first", ACTIVATED)
    engine.install(owing(), ACTIVATED)
    engine.drain()
    replay_events(engine, SECOND, "second", UNTIL)


def outcome(url: str, limits: Sequence[int]) -> dict[str, list[bytes]]:
    """The facts of each case."""
    with engine_on(url, *limits) as engine:
        run(engine)
        return runs.facts(engine)


def owed(engine: Engine, now: int, post: str, **asked: Any) -> list[tuple[str, str]]:
    """The duties of listed grids that a post is shown, with their states."""
    with engine.database.read() as connection:
        page = duty_page(connection, Policies(), DutyQuestion(post=post, **asked), now)
    return [(line.first, line.state) for line in page.duties if line.duty.code == EXTRA.code]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    url = f"sqlite:///{tmp_path_factory.mktemp('listing')}/a.db"
    with engine_on(url, 1, consumers=runs.consumers()) as engine:
        run(engine)
        engine.feed()
        yield engine


def test_what_is_kept_follows_from_the_log(ran: Engine, tmp_path: Path) -> None:
    assert [str(each) for each in verify(ran.database)] == []
    assert [str(each) for each in replayed_beside(ran, tmp_path)] == []
    with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 1, 1, 1) as again:
        replay_log(again, export_log(ran))
        assert runs.steps(again) == runs.steps(ran)


def test_limits_and_duties_go_by_what_was_listed_and_the_story_says_so(ran: Engine) -> None:
    steps = runs.steps(ran)
    reported = {
        step.case_id: fact.listed
        for step in steps
        for fact in decode_facts(step.body)
        if isinstance(fact, facts.Reported)
    }
    assert reported == {BEFORE: "", WITHIN: WATCH, AFTER: ""}
    limits = {
        step.case_id: fact.limit
        for step in steps
        for fact in decode_facts(step.body)
        if isinstance(fact, facts.ClockStarted) and fact.clock == "accept"
    }
    assert limits[WITHIN] != limits[BEFORE] == limits[AFTER]
    begun = {"period": "month", "day": "2026-03-15"}
    shown = {first: state for first, state in owed(ran, UNTIL, MEMBER, **begun) if first < "2026-03-10"}
    assert sorted(shown) == ["2026-03-05", "2026-03-06", "2026-03-07"]  # what stood at the beginning of the 7th
    assert owed(ran, UNTIL, OTHER, **begun) == []
    with ran.database.read() as connection:
        lines = "\n".join(story(exports.steps_of(connection, WITHIN), active_names(connection, Policies())))
        home = "\n".join(
            story(exports.steps_of(connection, home_subject("WY01")), active_names(connection, Policies()))
        )
    assert "in a key area, listed since 2026-03-02" in lines or "in a key area, listed since 03-02" in lines
    assert "重点监控区域" in lines and WATCH in lines
    assert "列为重点监控区域" in home and "解除重点监控" in home


def test_a_phone_takes_along_what_it_will_owe_while_the_grid_is_listed(tmp_path: Path) -> None:
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}", 2) as engine:
        install(engine, owing())
        replay_events(engine, FIRST, "first", at("03-02 12:00"))
        now = at("03-02 12:00")
        coming = [first for first, state in owed(engine, now, MEMBER)]
        assert coming == [f"2026-03-{day:02}" for day in range(3, 10)]
        assert owed(engine, now, OTHER) == []
        with engine.database.read() as connection:
            pack = phone_pack(connection, Policies(), Principal("phone", frozenset({MEMBER})), MEMBER, now)
        assert [(each.grid, each.by, each.until[:10]) for each in pack.listed] == [(LEAF, WATCH, "2026-03-31")]
        [extra] = [duty for duty in pack.posts[0].duties if duty.code == EXTRA.code]
        assert [each.first for each in extra.periods] == ["2026-03-03", "2026-03-04"]
        replay_events(
            engine, [said("supervision.revoked", "WY-OFFICE", now + DAY, WATCH, reason="error")], "x", now + DAY
        )
        assert [first for first, _ in owed(engine, now + DAY, MEMBER)] == ["2026-03-03"]


@pytest.mark.parametrize("limits", [(2, 500, 1000), (4, 1, 1)])
def test_slices_partitions_and_databases_change_nothing(ran: Engine, database_url: str, limits: Sequence[int]) -> None:
    assert outcome(database_url, limits) == runs.facts(ran)
