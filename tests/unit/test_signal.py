"""The signal (监测信号): an episode of a device, who looks at it, and the one incident of its place and rule.

In: what an adapter and posts of the sample pack say in March 2026. Out: states, incidents, hands and counts.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas import facts
from schemas.kinds.signal import Began, Signal, SignalAttached, SignalChecked, SignalOver
from schemas.refusals import Reason
from tests.support.builders import (
    CENTRE,
    DAY,
    HOUR,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Beside,
    Story,
    at,
    changed,
    instant,
    shipped,
    weiyang,
)
from workflows.case import Owner
from workflows.definitions import held_by
from workflows.definitions.signal import next_incident, subject_of
from workflows.policy.index import Policy

SENSOR, CAMERA = "WY-SENSOR", "WY-CAMERA"
YARD, YARD_2, GAMMA, VIDEO = "DEMO-DUST-1", "DEMO-DUST-2", "DEMO-GAMMA-1", "DEMO-VIDEO-1"
RULE = "yard-pm10"
REST = 3 * DAY
START = at("03-02 09:00")


class Episode(Story):
    """An episode of a device and rule, with those of its place beside it."""

    def __init__(
        self,
        device: str = YARD,
        rule: str = RULE,
        since: int = START,
        *,
        beside: Beside | None = None,
        pack: Policy | None = None,
    ) -> None:
        register = pack or weiyang()
        super().__init__(register, id=subject_of(said(device, rule, since), register), beside=beside)
        self.device, self.rule, self.since, self.now = device, rule, since, since

    def begin(self, when: int | None = None, actor: str = SENSOR, **data: Any) -> Episode:
        near = [story.case for story in self.beside.stories.values() if story.case.closed is None and story.case.key]
        told = {"device": self.device, "rule": self.rule, "since": instant(self.since), "value": "182.5"} | data
        key = f"signal|{self.rule}|"
        nearby = tuple(case for case in near if case.key.startswith(key) and case.id != self.case.id)
        self.done("signal.began", actor, when, nearby=nearby, **told)
        return self

    def end(self, when: int | None = None, actor: str = SENSOR, **data: Any) -> Episode:
        self.done("signal.ended", actor, when, **{"since": instant(when or self.now)} | data)
        return self

    @property
    def own(self) -> Signal:
        assert isinstance(self.case.own, Signal)
        return self.case.own

    @property
    def incident(self) -> Story:
        return self.beside.stories[self.own.incident]

    def close(self, when: int) -> None:
        """The incident that stands for it is handled, checked and closed."""
        life = self.incident
        life.done("incident.accepted", STREET, when)
        life.handled()
        life.done("verification.recorded", MEMBER, outcome="solved")
        life.done("incident.closed", MEMBER)


def said(device: str, rule: str, since: int) -> Began:
    """The data by which the id of an episode follows."""
    return msgspec.convert({"device": device, "rule": rule, "since": instant(since)}, Began)


# ---- what it is -------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M73", "M116")
def test_an_episode_bears_an_incident_of_its_rule_where_its_device_stands() -> None:
    signal = Episode().begin()
    assert (signal.case.state, signal.case.path[-1], signal.case.category) == ("alarmed", "WY01-01", "D3-01")
    incident = signal.incident.case
    assert (incident.definition, incident.state, incident.source) == ("incident", "reported", "sensor")
    assert (incident.category, incident.about, incident.reference) == ("D3-01", signal.case.id, YARD)
    assert incident.owner == Owner("WY01", 3) and incident.clock("accept") is not None
    assert signal.case.clock("total").due is None  # type: ignore[union-attr]
    assert [fact.bears for fact in signal.history(SignalAttached)] == [True]


def test_a_device_with_a_position_bears_an_incident_there() -> None:
    pack = shipped().pack
    devices = [structs.replace(each, lon=108.845, lat=34.385) for each in pack.devices if each.code == YARD]
    signal = Episode(pack=changed(devices=tuple(devices))).begin()
    assert (signal.incident.case.lon, signal.incident.case.lat) == (108.845, 34.385)
    assert signal.incident.case.key.startswith("D3-01|")


def test_it_worsens_and_ends_with_its_values_as_evidence() -> None:
    signal = Episode().begin()
    signal.done("signal.worsened", SENSOR, severity=2, value="263")
    signal.end(START + HOUR, value="80", worst="301")
    assert (signal.case.state, signal.own.severity, signal.own.worst) == ("subsided", 2, "301")
    assert signal.one(SignalOver).lasted == HOUR
    signal.refused(Reason.IMPOSSIBLE, "signal.worsened", SENSOR, severity=3, value="500")


def test_nothing_but_the_derived_id_is_taken() -> None:
    stranger = Story(id="WY01.018f2e00-0000-7000-8000-000000000001")
    data = {"device": YARD, "rule": RULE, "since": instant(START)}
    refusal = stranger.refused(Reason.MISROUTED, "signal.began", SENSOR, START, **data)
    assert subject_of(said(YARD, RULE, START), weiyang()) in refusal.detail


@pytest.mark.parametrize(
    ("data", "field"),
    [({"device": "NONE"}, "data.device"), ({"rule": "NONE"}, "data.rule"), ({"rule": "gamma"}, "data.rule")],
)
def test_a_device_or_rule_that_the_pack_has_not_is_named(data: dict[str, Any], field: str) -> None:
    told = {"device": YARD, "rule": RULE, "since": instant(START)} | data
    refusal = Episode().refused(Reason.UNKNOWN_CODE, "signal.began", SENSOR, START, **told)
    assert refusal.field == field


def test_only_who_connects_devices_says_that_one_began() -> None:
    data = {"device": YARD, "rule": RULE, "since": instant(START)}
    Episode().refused(Reason.FORBIDDEN, "signal.began", MEMBER, START, **data)


def test_an_episode_does_not_end_before_it_began() -> None:
    signal = Episode().begin()
    refusal = signal.refused(Reason.INVALID, "signal.ended", SENSOR, since=instant(START - 1))
    assert refusal.field == "data.since"


# ---- one incident of a place and rule ---------------------------------------------------------------------


@pytest.mark.mechanism("M73")
def test_a_place_has_one_incident_however_long_it_storms() -> None:
    first = Episode().begin()
    second = Episode(YARD_2, since=START + HOUR, beside=first.beside).begin(START + HOUR)
    assert second.own.incident == first.own.incident and not second.own.bears
    first.end(START + 2 * HOUR)
    second.end(START + 2 * HOUR)
    assert (first.case.state, second.case.state) == ("subsided", "over")
    for number in range(3, 20):
        again = Episode(since=START + number * HOUR, beside=first.beside).begin(START + number * HOUR)
        again.end(START + number * HOUR + 1)
        assert again.own.incident == first.own.incident
    incidents = [s for s in first.beside.stories.values() if s.case.definition == "incident"]
    assert len(incidents) == 1
    first.close(START + 21 * HOUR)
    assert first.case.state == "over" and first.case.closed is not None


def test_another_rule_of_the_place_has_an_incident_of_its_own() -> None:
    first = Episode().begin()
    silent = Episode(rule="silent", beside=first.beside).begin(value=None)
    assert silent.own.incident != first.own.incident
    assert silent.incident.case.category == "D3-13"


def test_a_new_episode_after_the_closing_bears_the_next_at_once() -> None:
    first = Episode().begin()
    first.end(START + HOUR)
    first.close(START + 2 * HOUR)
    again = Episode(since=START + DAY, beside=first.beside).begin(START + DAY)
    assert again.own.bears and again.own.incident == next_incident(again.case.id)


# ---- what outlasts its incident ---------------------------------------------------------------------------


def test_one_that_outlasts_its_incident_bears_the_next_after_the_rest() -> None:
    signal = Episode().begin()
    before = signal.own.incident
    signal.close(START + HOUR)
    closed = signal.beside.stories[before].case.closed
    assert closed is not None and signal.case.state == "alarmed"
    assert signal.own.looks == closed + REST
    signal.until(closed + REST - 10)
    assert signal.own.incident == before
    signal.until(closed + REST + HOUR)
    assert signal.own.incident == next_incident(before) and signal.incident.case.state == "reported"
    assert signal.incident.case.about == signal.case.id


def test_several_that_outlast_it_have_one_next_incident() -> None:
    first = Episode().begin()
    second = Episode(YARD_2, since=START + HOUR, beside=first.beside).begin(START + HOUR)
    before = first.own.incident
    first.close(START + 2 * HOUR)
    for signal in (second, first):
        signal.until(START + 4 * DAY)
    assert first.own.incident == second.own.incident == next_incident(before)
    assert sorted([first.own.bears, second.own.bears]) == [False, True]


def test_without_a_rest_only_a_new_episode_bears_the_next() -> None:
    rules = tuple(structs.replace(rule, rest_ms=0) for rule in weiyang().pack.signals)
    signal = Episode(pack=changed(signals=rules)).begin()
    before = signal.own.incident
    signal.close(START + HOUR)
    signal.until(START + 400 * DAY)
    assert (signal.own.incident, signal.own.looks, signal.case.state) == (before, None, "alarmed")
    signal.end(START + 401 * DAY)
    assert signal.case.state == "over"


def test_one_whose_incident_goes_on_looks_again_and_bears_nothing() -> None:
    signal = Episode().begin()
    signal.until(START + 10 * DAY)
    assert len(signal.history(SignalAttached)) == 1 and signal.own.looks is not None


def test_a_merged_incident_goes_on_in_its_survivor() -> None:
    signal = Episode().begin()
    survivor = Story(number=7, beside=signal.beside)
    survivor.now = signal.now
    survivor.reported(category="D3-01")
    signal.incident.done("incident.merged", CENTRE, signal.now + 1000, into=survivor.case.id)
    signal.end(START + HOUR)
    assert signal.case.state == "subsided"
    again = Episode(YARD_2, since=START + 2 * HOUR, beside=signal.beside).begin(START + 2 * HOUR)
    assert again.own.incident == signal.own.incident and not again.own.bears
    survivor.done("incident.accepted", STREET, START + 3 * HOUR)
    survivor.handled()
    survivor.done("verification.recorded", MEMBER, outcome="solved")
    survivor.done("incident.closed", MEMBER)
    assert signal.case.state == "over"


# ---- eyes before work -------------------------------------------------------------------------------------


@pytest.mark.mechanism("M52", "M72")
def test_where_the_rule_wants_eyes_it_is_checked_before_there_is_an_incident() -> None:
    signal = Episode(VIDEO, "video-smoke").begin(actor=CAMERA, value="0.93")
    assert (signal.case.state, signal.own.incident) == ("checking", "")
    assert held_by(signal.case).grid == "WY01-02" and signal.case.clock("look") is not None
    signal.done("signal.confirmed", "WY01-02-MEMBER")
    assert (signal.case.state, signal.incident.case.source) == ("alarmed", "camera")
    stopped = [(fact.clock, fact.result) for fact in signal.history(facts.ClockStopped)]
    assert stopped == [("look", "on_time")]


def test_one_that_is_dismissed_bears_nothing_whatever_comes_of_it() -> None:
    signal = Episode(VIDEO, "video-smoke").begin(actor=CAMERA)
    signal.done("signal.dismissed", "WY01-02-CHIEF", reason="false_alarm")
    signal.done("signal.worsened", CAMERA, severity=2, value="1")
    signal.end(START + HOUR, actor=CAMERA)
    assert (signal.case.state, signal.own.incident) == ("ruled_out", "")
    assert [fact.outcome for fact in signal.history(SignalChecked)] == ["false_alarm"]


def test_one_that_is_over_is_still_looked_at_and_may_be_an_incident() -> None:
    signal = Episode(VIDEO, "video-smoke").begin(actor=CAMERA).end(START + HOUR, actor=CAMERA)
    assert signal.case.state == "checking"
    signal.done("signal.confirmed", CENTRE)
    assert signal.case.state == "subsided" and signal.incident.case.state == "reported"
    assert signal.own.looks is None


def test_two_that_are_confirmed_have_one_incident() -> None:
    devices = {device.code: device for device in weiyang().pack.devices}
    other = structs.replace(devices[VIDEO], code="V2", place=VIDEO)
    pack = changed(devices=(*weiyang().pack.devices, other))
    first = Episode(VIDEO, "video-smoke", pack=pack).begin(actor=CAMERA)
    second = Episode("V2", "video-smoke", beside=first.beside, pack=pack).begin(actor=CAMERA)
    first.done("signal.confirmed", CENTRE)
    second.done("signal.confirmed", CENTRE)
    assert second.own.incident == first.own.incident and not second.own.bears


def test_only_who_is_on_the_spot_or_above_looks() -> None:
    signal = Episode(VIDEO, "video-smoke").begin(actor=CAMERA)
    signal.refused(Reason.FORBIDDEN, "signal.confirmed", LEAF_CHIEF)  # of the leaf beside it
    signal.refused(Reason.FORBIDDEN, "signal.dismissed", CAMERA, reason="test")


@given(st.lists(st.sampled_from(["end", "again", "close", "wait"]), max_size=12))
def test_there_is_never_more_than_one_open_incident_of_a_place_and_rule(way: list[str]) -> None:
    beside, now = Beside(), START
    episodes = [Episode(beside=beside).begin()]
    for what in way:
        now += 5 * HOUR
        last = episodes[-1]
        if what == "end" and not last.own.over:
            last.end(now)
        elif what == "again" and last.own.over:
            episodes.append(Episode(since=now, beside=beside).begin(now))
        elif what == "close" and last.incident.case.closed is None:
            last.close(now)
        elif what == "wait":
            now += REST
            for each in episodes:
                each.until(now)
        incidents = [s.case for s in beside.stories.values() if s.case.definition == "incident"]
        assert sum(case.closed is None for case in incidents) <= 1
        held = [e for e in episodes if e.case.state == "subsided"]
        assert all(e.incident.case.closed is None for e in held)
