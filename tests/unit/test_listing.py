"""Key areas (列为重点监控区域): what a supervision lists, which limits and duties go by it, when it ends, who inherits.

In: the sample pack with an action that lists, and rows for listed grids. Out: limits, duties, facts, intervals.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas import facts
from schemas.derived_ids import derived_subject, home_subject
from schemas.kinds.home import KEPT_MS, Home, Listing
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CITY,
    DAY,
    HOUR,
    LEAF,
    MEMBER,
    STREET,
    Beside,
    Story,
    at,
    changed,
    in_the_field,
    shipped,
    subject,
    undissuaded,
    weiyang,
)
from tests.support.examples import examples
from workflows import decide, homes
from workflows.clocks.limits import limit_text, parse_limit
from workflows.listing import listing_of
from workflows.policy.index import Policy
from workflows.policy.model import DutyRow, LimitRow

OFFICE, SUPERVISOR = "WY-OFFICE", "WY-SUPERVISOR"
SHORT = parse_limit("0.5工作时")
WATCH = tuple(replace(row, lists=row.action == "watch") for row in weiyang().pack.actions)


def listing(**more: Any) -> Policy:
    """The sample pack in which `watch` lists, and what lies in a listed grid is accepted sooner."""
    rows = (*weiyang().pack.limits, LimitRow("accept", SHORT, listed=True, basis="test"))
    return changed(undissuaded(), **{"actions": WATCH, "limits": rows, "roles": in_the_field()} | more)


RULES = listing()


class Watch(Story):
    """A supervision that lists a grid."""

    def proposed(self, grid: str = "WY01", until: str = "2026-03-31", **data: Any) -> Watch:
        self.done("supervision.proposed", SUPERVISOR, action="watch", grid=grid, until=until, **data)
        return self

    def served(self) -> Watch:
        self.done("supervision.decided", OFFICE)
        self.done("supervision.served", OFFICE)
        return self


def watch(grid: str = "WY01", until: str = "2026-03-31", rules: Policy = RULES, **more: Any) -> Watch:
    """A grid that is listed."""
    return Watch(rules, home=rules.home(grid), **more).proposed(grid, until).served()


def home_of(story: Story, home: str = "WY01") -> Home:
    """What the home beside a story keeps."""
    own = story.beside.stories[home_subject(home)].case.own
    assert isinstance(own, Home)
    return own


def problem(beside: Story, when: int | None = None, grid: str = LEAF, number: int = 50, **data: Any) -> Story:
    """A problem that the hotline tells of a grid."""
    case = Story(beside.rules, number=number, beside=beside.beside)
    case.register = beside.register
    case.done(
        "report.submitted", "WY-12345", when or beside.now + HOUR, category=BARE, source="hotline", grid=grid, **data
    )
    return case


def limit_of(case: Story, clock: str = "accept") -> str:
    """The limit of a clock that runs."""
    found = case.case.clock(clock)
    assert found is not None
    return found.limit


USUAL, SOONER = "1工作时", limit_text(SHORT)


# ---- what is listed -----------------------------------------------------------------------------------------


@pytest.mark.mechanism("M94")
def test_what_is_reported_while_its_grid_is_listed_has_the_limits_of_listed_grids():
    before = problem(Story(RULES), at("03-02 08:30"), number=49)
    account = Watch(RULES, beside=before.beside).proposed().served()
    after = problem(account)
    assert (limit_of(before), limit_of(after)) == (USUAL, SOONER)
    told = after.history(facts.Reported)[0]
    assert (told.listed, told.listed_since) == (account.case.id, account.now)
    assert told.listed_until == at("04-01 00:00") - 1
    assert (before.history(facts.Reported)[0].listed, before.case.listed) == ("", "")
    assert after.case.listed == account.case.id


def test_before_it_is_served_nothing_is_listed():
    account = Watch(RULES).proposed()
    account.done("supervision.decided", OFFICE)
    assert limit_of(problem(account)) == USUAL


def test_a_leaf_that_is_listed_lists_that_leaf_alone():
    account = watch(LEAF)
    assert (limit_of(problem(account)), limit_of(problem(account, grid="WY01-02", number=51))) == (SOONER, USUAL)


def test_about_a_case_the_grid_of_that_case_is_listed():
    case = problem(Story(RULES), at("03-02 08:30"), number=49)
    account = Watch(RULES, beside=case.beside)
    account.done("supervision.proposed", SUPERVISOR, action="watch", about=case.case.id, until="2026-03-31")
    account.served()
    assert [each.grid for each in home_of(account).listings] == [LEAF]


def test_a_case_that_was_reported_keeps_to_it_whatever_becomes_of_the_listing():
    account = watch()
    case = problem(account)
    account.now = case.now
    account.done("supervision.revoked", OFFICE, reason="error")
    case.done("incident.returned", STREET, account.now + HOUR, reason="insufficient")
    assert limit_of(case) == SOONER and limit_of(problem(account, case.now, number=51)) == USUAL


@pytest.mark.parametrize(("when", "limit"), [("03-31 23:59", SOONER), ("04-01 00:00", USUAL), ("03-02 10:00", SOONER)])
def test_it_ends_with_its_day(when: str, limit: str):
    account = watch()
    assert limit_of(problem(account, at(when))) == limit


def test_cleared_or_revoked_it_ends_at_once_and_raised_it_goes_on():
    account = watch()
    account.done("supervision.raised", OFFICE)
    assert limit_of(problem(account, number=51)) == SOONER
    account.done("supervision.served", "XA-OFFICE", account.now + DAY)
    assert len(home_of(account).listings) == 1
    account.done("supervision.answered", STREET)
    account.done("supervision.reviewed", "XA-OFFICE", outcome="passed")
    account.done("supervision.cleared", "XA-OFFICE")
    [kept] = home_of(account).listings
    assert kept.until == account.now
    assert limit_of(problem(account, number=52)) == USUAL


def test_a_report_that_comes_late_is_judged_by_what_was_listed_then():
    account = watch()
    ended = account.now + 5 * DAY
    account.done("supervision.revoked", OFFICE, ended, reason="settled")
    for number, occurred, limit in ((51, ended - HOUR, SOONER), (52, ended + HOUR, USUAL)):
        case = Story(RULES, number=number, beside=account.beside)
        data = {"category": BARE, "source": "patrol", "grid": LEAF}
        case.done("report.submitted", MEMBER, ended + DAY, occurred=occurred, **data)
        assert limit_of(case) == limit


def test_two_may_list_a_grid_and_it_is_listed_while_one_does():
    first = watch()
    second = Watch(RULES, number=2, beside=first.beside).proposed(until="2026-04-30").served()
    first.done("supervision.revoked", OFFICE, second.now + HOUR, reason="error")
    assert limit_of(problem(first)) == SOONER
    second.done("supervision.revoked", OFFICE, first.now + DAY, reason="error")
    assert limit_of(problem(second, number=51)) == USUAL


def test_a_successor_inherits_it_within_its_home():
    successors = {"WY01-01": "WY01-02"}
    grids = tuple(
        replace(grid, valid_to=20260310, successor=successors[grid.code]) if grid.code in successors else grid
        for grid in RULES.pack.grids
    )
    account = watch(LEAF)
    assert limit_of(problem(account, grid="WY01-02", number=51)) == USUAL
    account.register = changed(RULES, grids=grids)
    assert limit_of(problem(account, at("03-10 12:00"), grid="WY01-02", number=52)) == USUAL
    assert limit_of(problem(account, at("03-11 12:00"), grid="WY01-02", number=53)) == SOONER
    assert limit_of(problem(account, at("03-11 12:00"), grid="WY01-03", number=54)) == USUAL


# ---- what may be listed -------------------------------------------------------------------------------------


def test_a_district_is_listed_street_by_street():
    story = Watch(RULES, home="XA")
    refused = story.refused(Reason.INVALID, "supervision.proposed", CITY, action="watch", grid="WY", until="2026-03-31")
    assert refused.field == "data.grid" and "level 3" in refused.detail


@pytest.mark.parametrize("until", ["2026-03-01", "2026-02-30", "2036-01-01"])
def test_the_day_is_one_that_is_to_come(until: str):
    refused = Watch(RULES).refused(
        Reason.INVALID, "supervision.proposed", SUPERVISOR, action="watch", grid="WY01", until=until
    )
    assert refused.field == "data.until"


def test_who_decides_says_the_day_and_no_other_action_has_one():
    refused = Watch(RULES).refused(
        Reason.INVALID, "supervision.proposed", SUPERVISOR, action="letter", grid="WY01", until="2026-03-31"
    )
    assert refused.field == "data.until"
    account = Watch(RULES)
    account.done("supervision.proposed", SUPERVISOR, action="watch", grid="WY01")
    assert account.refused(Reason.INVALID, "supervision.decided", OFFICE).field == "data.until"
    account.done("supervision.decided", OFFICE, until="2026-03-15")
    account.done("supervision.served", OFFICE)
    assert [each.until for each in home_of(account).listings] == [at("03-16 00:00") - 1]


def test_one_that_is_served_after_its_day_lists_nothing():
    account = Watch(RULES).proposed(until="2026-03-03")
    account.done("supervision.decided", OFFICE)
    account.done("supervision.served", OFFICE, at("03-04 09:00"))
    assert home_subject("WY01") not in account.beside.stories
    account.done("supervision.revoked", OFFICE, reason="error")


# ---- what is owed there -------------------------------------------------------------------------------------

EXTRA = DutyRow("EXTRA", "重点巡查", "member", "day", levels=(4,), listed=True, basis="test")
OWING = changed(listing(), duties=(*shipped().pack.duties[:1], EXTRA))


class Homes:
    """A home that comes up as the engine lets it, beside what supervisions tell it."""

    def __init__(self, rules: Policy, entered: int) -> None:
        self.rules, self.beside = rules, Beside()
        self.entered = entered
        self.story = Story(rules, id=home_subject("WY01"), beside=self.beside)

    def until(self, instant: int) -> None:
        """Let the home come up for all that is due before an instant."""
        course = homes.Course([("first", self.entered)], [], lambda _: self.rules)
        own = self.story.case.own
        if not (isinstance(own, Home) and own.packs) and self.entered <= instant:
            self.follow(decide.fire_home(self.story.case, self.entered - 1, course, self.beside))
        while (due := self.story.case.next_at) is not None and due < instant:
            self.follow(decide.fire_home(self.story.case, due, course, self.beside))

    def follow(self, result: Any) -> None:
        """Take over what it did."""
        self.story._follow(result)

    def owed(self, row: str, post: str, day: int) -> bool:
        """Whether a duty was borne."""
        begins = self.rules.clock_of_days.day_start(day)
        id_ = derived_subject("WY01", "duty", row, post, day, begins)
        return id_ in self.beside.stories and self.beside.stories[id_].case.opened > 0


@pytest.mark.mechanism("M94")
@pytest.mark.parametrize("entered", ["02-27 08:00", "03-02 20:00"])
def test_what_is_owed_in_key_areas_is_owed_where_the_grid_is_listed_when_the_period_begins(entered: str):
    town = Homes(OWING, at(entered))
    town.until(at("03-02 09:00"))
    account = Watch(OWING, beside=town.beside).proposed(LEAF, until="2026-03-04").served()
    town.until(at("03-08 00:00"))
    extra = [day for day in range(20260301, 20260308) if town.owed("EXTRA", MEMBER, day)]
    assert extra == [20260303, 20260304]
    assert not any(town.owed("EXTRA", "WY01-02-MEMBER", day) for day in range(20260301, 20260308))
    usual = OWING.pack.duties[0]
    assert usual.code == "PATROL" and town.owed("PATROL", MEMBER, 20260305)
    assert [each.by for each in home_of(town.story).listings] == [account.case.id]


def test_an_unlisting_that_comes_before_the_births_of_its_night_takes_nothing_from_them():
    town = Homes(OWING, at("02-27 08:00"))
    town.until(at("03-02 09:00"))
    account = Watch(OWING, beside=town.beside).proposed(LEAF).served()
    town.until(at("03-03 00:00"))  # the home comes up for the 3rd within its spread only
    account.done("supervision.revoked", OFFICE, at("03-03 00:01"), reason="error")
    town.until(at("03-05 00:00"))
    assert town.owed("EXTRA", MEMBER, 20260303) and not town.owed("EXTRA", MEMBER, 20260304)


# ---- random lives -------------------------------------------------------------------------------------------

SAID: dict[str, list[dict[str, Any]]] = {
    "supervision.decided": [{}, {"until": "2026-03-20"}],
    "supervision.served": [{}],
    "supervision.raised": [{}],
    "supervision.answered": [{}],
    "supervision.reviewed": [{"outcome": "passed"}],
    "supervision.cleared": [{}],
    "supervision.revoked": [{"reason": "other"}],
}


@settings(max_examples=examples(30))
@given(st.data())
def test_a_grid_is_listed_exactly_while_a_supervision_of_it_is_in_force(data: st.DataObject) -> None:
    beside, now = Beside(), at("03-02 09:00")
    watches = [Watch(RULES, number=number, beside=beside) for number in (1, 2, 3)]
    grids = {1: "WY01", 2: LEAF, 3: LEAF}
    spans: dict[int, list[int]] = {}  # since, until
    for number, each in enumerate(watches, 1):
        each.now = now
        each.proposed(grids[number], until=data.draw(st.sampled_from(["2026-03-05", "2026-03-31"])))
        now = each.now
    for _ in range(data.draw(st.integers(6, 24))):
        now += data.draw(st.sampled_from([60_000, HOUR, DAY, 4 * DAY]))
        number = data.draw(st.integers(1, 3))
        story = watches[number - 1]
        kind = data.draw(st.sampled_from(sorted(SAID)))
        post = data.draw(st.sampled_from((OFFICE, OFFICE, "XA-OFFICE", STREET)))
        story.say(kind, post, now, **data.draw(st.sampled_from(SAID[kind])))
        own: Any = story.case.own
        if own.served == now and number not in spans:
            day = OWING.clock_of_days.day_start(own.until) + DAY - 1
            spans |= {number: [now, day]} if now <= day else {}
        if story.case.closed is not None and number in spans:
            spans[number][1] = min(spans[number][1], story.case.closed)
        check(beside, spans, grids, now)


def check(beside: Beside, spans: dict[int, list[int]], grids: dict[int, str], now: int) -> None:
    """What the home keeps is what is in force, each once, and nothing that may still be asked for is lost."""
    story = beside.stories.get(home_subject("WY01"))
    own = story.case.own if story is not None else Home()
    assert isinstance(own, Home)
    kept = {(each.grid, each.by): (each.since, each.until) for each in own.listings}
    assert len(kept) == len(own.listings)
    wanted = {(grids[n], subject(number=n)): (since, until) for n, (since, until) in spans.items()}
    assert kept.items() <= wanted.items()
    assert all(until < now - KEPT_MS for key, (_, until) in wanted.items() if key not in kept)
    for instant in (now - DAY, now, now + DAY):
        for grid in (LEAF, "WY01-02"):
            path = RULES.path(grid)
            listed = any(since <= instant <= until and grids[n] in path for n, (since, until) in spans.items())
            assert (listing_of(own.listings, path, RULES, instant) is not None) == listed


def test_what_is_long_over_is_forgotten():
    own, month = Home(), KEPT_MS
    for number in range(100):
        since = at("03-02 09:00") + number * DAY
        own = own.listed(Listing(LEAF, str(number), since, since + HOUR), since)
    assert len(own.listings) == month // DAY + 1
