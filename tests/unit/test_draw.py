"""The audit draw and the visits of its cases: who says what, what is told, where it counts, and how the lot falls.

In: what posts of the sample pack say in March 2026, and what the server says. Out: states, hands, readers, counts.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.performance.fold import fold
from engine.admission import admit, receive
from engine.principals import LOCAL
from schemas import facts
from schemas.derived_ids import drawn_subject
from schemas.envelope import decode_record, is_subject
from schemas.events import EVENTS
from schemas.kinds.draw import Draw, DrawComputed, list_digest, lot
from schemas.refusals import Reason, Refusal
from tests.support.builders import (
    CENTRE,
    CITY,
    DAY,
    DISTRICT,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Beside,
    Story,
    at,
    event,
    instant,
    shipped,
    subject,
)
from tests.unit.test_supervision import OFFICE, OTHER, SUPERVISOR, readers
from workflows.definitions import shown_path
from workflows.reading import word_rights

LOT = "XA-LOT"
DAYS: dict[str, Any] = {"since": instant(at("02-01 00:00")), "before": instant(at("03-02 08:00"))}
INSIDE = {OFFICE, SUPERVISOR, OTHER, DISTRICT}


def ordered(by: str = OFFICE, **data: Any) -> Story:
    story = Story(shipped(), number=5)
    story.done("draw.ordered", by, share=10, **DAYS | {"grid": "WY01"} | data)
    return story


def closed_case(beside: Beside | None = None) -> Story:
    life = Story(shipped(), beside=beside).reported().accepted().handled()
    life.done("verification.recorded", MEMBER, outcome="solved")
    life.done("incident.closed", MEMBER)
    return life


def drawn_visit(case: Story, number: int = 6) -> Story:
    found = Story(shipped(), number=number, beside=case.beside)
    found.now = case.now
    found.done("draw.hit", LOT, draw=subject("WY01", 5), about=case.case.id, office="WY")
    case.now = found.now
    return found


# ---- the draw ----------------------------------------------------------------------------------------------


def test_an_order_keeps_the_bytes_of_its_record_and_the_instant_up_to_which_closings_are_known() -> None:
    story = ordered()
    assert story.case.state == "undrawn" and story.case.owner.grid == "WY"
    kept = story.case.own
    assert isinstance(kept, Draw) and (kept.seed, kept.share, kept.of) == ("07" * 32, 10, "incident")
    assert kept.known_at == story.now and (kept.since, kept.before) == (at("02-01 00:00"), at("03-02 08:00"))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"before": instant(at("03-09 00:00"))}, "data.before"),  # what is closed later cannot be drawn
        ({"since": DAYS["before"], "before": DAYS["before"]}, "data.before"),
        ({"grid": "NOWHERE"}, "data.grid"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused(data: Any, field: str) -> None:
    story = Story(shipped(), number=5)
    result = story.say("draw.ordered", OFFICE, share=10, **DAYS | {"grid": "WY01"} | data)
    refusal = result.outcomes[0].refusal
    assert refusal is not None and refusal.field == field


def test_who_is_visited_orders_no_draw_and_calls_none_off() -> None:
    story = Story(shipped(), number=5)
    story.refused(Reason.FORBIDDEN, "draw.ordered", STREET, share=10, grid="WY01", **DAYS)
    story = ordered()
    story.refused(Reason.FORBIDDEN, "draw.called_off", STREET, reason="error")
    story.refused(Reason.FORBIDDEN, "draw.called_off", "XA-OFFICE", reason="error")
    story.done("draw.called_off", SUPERVISOR, reason="error")
    assert story.case.state == "called_off" and shown_path(story.case) == "/"


def test_its_time_passes_its_order_by_itself() -> None:
    """So it can be drawn where nobody else says anything in its home."""
    story = ordered()
    assert story.case.next_at == story.now + 1
    story.until(story.now + DAY)
    assert isinstance(story.case.own, Draw) and story.case.own.passed and story.case.state == "undrawn"


@pytest.mark.mechanism("M97")
def test_until_its_visits_are_done_only_its_office_reads_it() -> None:
    story = ordered(by=SUPERVISOR)
    for number in range(2):
        if number:
            story.done("draw.computed", LOT, cases=30, digest="ab" * 32, hits=3)
            assert story.one(DrawComputed) == DrawComputed(cases=30, digest="ab" * 32, hits=3)
        assert readers(story.case, shipped()) == {OFFICE, SUPERVISOR, OTHER} | readers_that_decide()
        assert not word_rights(shipped().posts[STREET], story.case, shipped(), 0).words
    told = {post for fact in story.history(facts.NoticeGiven) for post in fact.to}
    assert told <= INSIDE
    story.done("draw.finished", LOT)
    assert readers(story.case, shipped()) >= {STREET, CITY, DISTRICT}


def readers_that_decide() -> set[str]:
    """Posts of the office that decide of other things that are concealed."""
    return {DISTRICT}


@given(
    st.lists(st.integers(0, 500), unique=True, max_size=60), st.integers(1, 100), st.binary(min_size=32, max_size=32)
)
def test_the_lot_is_what_anybody_computes_from_bytes_and_list(numbers: list[int], share: int, seed: bytes) -> None:
    cases = [subject("WY01", number) for number in numbers]
    drawn = lot(seed.hex(), share, cases)
    assert len(drawn) == (share * len(cases) + 99) // 100 and set(drawn) <= set(cases)
    ranks = sorted(cases, key=lambda case: sha256(seed + case.encode()).hexdigest())
    assert drawn == ranks[: len(drawn)]
    assert drawn == lot(seed.hex(), share, sorted(cases, reverse=True)), "the order of the list is nothing to it"
    assert list_digest(cases) == sha256("".join(f"{each}\n" for each in sorted(cases)).encode()).hexdigest()


def test_ids_of_visits_follow_from_draw_case_and_bytes_so_that_nobody_finds_one_by_trying() -> None:
    draw, case, seed = subject("XA", 5), subject("WY01", 1), "07" * 32
    found = drawn_subject(draw, case, seed)
    assert found == drawn_subject(draw, case, seed) and is_subject(found) and found.startswith("WY01.")
    others = [(draw, subject("WY01", 2), seed), (subject("XA", 6), case, seed), (draw, case, "08" * 32)]
    assert found not in {drawn_subject(*each) for each in others}


# ---- the door ----------------------------------------------------------------------------------------------


def said(kind: str, actor: str, **data: Any) -> bytes:
    return msgspec.json.encode(event(kind, actor, at("03-02 09:00"), case=subject("WY01", 5), id="o1", **data))


def test_the_door_writes_32_bytes_that_no_sender_chooses_and_a_resend_is_one() -> None:
    raw = said("draw.ordered", OFFICE, share=5, **DAYS)
    records = []
    for _ in range(2):
        taken = admit(raw, LOCAL, 4)
        assert not isinstance(taken, Refusal)
        records.append(decode_record(taken[0].body))
    seeds = {record.seed for record in records}
    assert len(seeds) == 2 and {len(bytes.fromhex(seed)) for seed in seeds} == {32}
    assert records[0].digests == records[1].digests, "the bytes are no part of what is meant"
    named = admit(said("draw.ordered", OFFICE, share=5, seed="00" * 32, **DAYS), LOCAL, 4)
    assert not isinstance(named, Refusal)
    record = decode_record(named[0].body)
    assert record.seed != "00" * 32 and b"seed" not in bytes(record.event.data)


def test_a_file_that_is_replayed_gets_the_same_bytes_each_time_and_other_events_get_none() -> None:
    raw, other = said("draw.ordered", OFFICE, share=5, **DAYS), said("incident.accepted", STREET)
    found = [receive(each, "replay", 4) for each in (raw, raw, other)]
    seeds = [decode_record(each[0].body).seed for each in found if not isinstance(each, Refusal)]
    assert seeds[0] == seeds[1] != "" == seeds[2]


@pytest.mark.parametrize("trigger", [trigger for trigger, event in EVENTS.items() if event.by])
def test_the_door_takes_from_nobody_what_the_server_says_itself(trigger: str) -> None:
    refused = admit(said(trigger, LOT, **EVENTS[trigger].example), LOCAL, 4)
    assert isinstance(refused, Refusal) and (refused.reason, refused.field) == (Reason.ENGINE_ONLY, "type")


# ---- the visit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "counts"), [("held", {"visited": 1}), ("failed", {"visited": 1, "visits_failed": 1})]
)
def test_a_visit_says_to_its_case_what_it_found_and_counts_at_the_unit_that_closed_it(
    outcome: str, counts: dict[str, int]
) -> None:
    case = closed_case()
    before = len(case.steps)
    visit = drawn_visit(case)
    assert len(case.steps) == before, "nothing of it stands in the case"
    assert visit.case.about == case.case.id and visit.case.owner.grid == "WY" and shown_path(visit.case) == "/"
    visit.refused(Reason.FORBIDDEN, "visit.recorded", STREET, outcome="held")
    visit.done("visit.recorded", SUPERVISOR, outcome=outcome, note="…")
    [told] = case.of(facts.Visited)
    assert (told.outcome, told.by, told.visit, told.charged.path) == (outcome, SUPERVISOR, visit.case.id, LEAF_PATH)
    assert (visit.case.state, case.case.state) == ("revisited", "closed")
    cells = fold(None, step_of(case)).cells
    assert {name: n for (name, place), n in cells.items() if place.path == LEAF_PATH} == counts


LEAF_PATH = "/XA/WY/WY01/WY01-01/"


def step_of(case: Story) -> Any:
    """The last step of a case as the fold reads it."""
    step = case.steps[-1]
    kept = step.case
    return facts.Step(
        partition=0,
        n=1,
        case=kept.id,
        seq=kept.seq,
        at=case.now,
        day=20260302,
        policy="",
        definition=kept.definition,
        path="".join(f"/{code}" for code in kept.path) + "/",
        category=kept.category,
        group=kept.group,
        department="",
        post="",
        cause=facts.Cause(type="t", source="s", id="1"),
        facts=step.facts,
    )


def test_before_it_was_there_only_the_office_reads_a_visit() -> None:
    visit = drawn_visit(closed_case())
    assert readers(visit.case, shipped()) == INSIDE | {LOT}
    told = {post for fact in visit.history(facts.NoticeGiven) for post in fact.to}
    assert told and told <= INSIDE
    visit.refused(Reason.FORBIDDEN, "case.commented", LEAF_CHIEF)
    visit.done("visit.recorded", OFFICE, outcome="failed")
    assert readers(visit.case, shipped()) >= {STREET, LEAF_CHIEF, CITY}


def test_a_visit_that_is_dropped_stays_concealed_and_says_nothing_to_its_case() -> None:
    case = closed_case()
    visit = drawn_visit(case)
    visit.done("visit.dropped", OFFICE, reason="gone")
    assert case.of(facts.Visited) == [] and shown_path(visit.case) == "/" and visit.case.closed is not None


def test_it_is_about_a_case_of_its_home_that_is_there() -> None:
    visit = Story(shipped(), number=6)
    data: dict[str, Any] = {"draw": subject("WY01", 5), "office": "WY"}
    assert visit.refused(Reason.INVALID, "draw.hit", LOT, about=subject("WY02", 1), **data).field == "data.about"
    assert visit.refused(Reason.IMPOSSIBLE, "draw.hit", LOT, about=subject("WY01", 9), **data).field == "data.about"
    assert visit.refused(Reason.FORBIDDEN, "draw.hit", CENTRE, about=closed_about(visit), **data).field == "actor"


def closed_about(visit: Story) -> str:
    """A closed case beside it."""
    return closed_case(visit.beside).case.id
