"""Time bears what was owed in a history of years ago: the city's year 2015, under a pack that is active since 1970.

Enters: the city's pack with a warden who owes something of every day, week, half-month and year; its days on the clocks
of three places, one of which skips a midnight and has another one twice. Leaves: what was born, and when it was due, by
a calendar that knows nothing of the pack's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from consumers.verify import verify
from engine.inbox import Submission
from engine.replay import export_log, replay_events, replay_log
from engine.runtime import Engine
from lab import runs
from lab.runs import BEFORE_ALL, engine_on, pack_of
from schemas import facts
from schemas.envelope import Envelope, decode_envelope, to_ms
from schemas.facts import decode_facts
from schemas.kinds.duty import DutyOwed
from schemas.kinds.home import Unobserved
from tests.city.outcomes import record
from workflows.policy.holidays_and_zones import expand_zone
from workflows.policy.model import DutyRow, Pack, Post

PERIODS = ("day", "week", "half_month", "year")
BOSTON = "America/New_York"
DAY_MS = 86_400_000


def pack(zone: str = BOSTON) -> Pack:
    """The city's pack with a warden, on the clocks of a place."""
    city = pack_of("boston311")
    offsets = expand_zone(zone, 2015, 2018)
    return replace(
        city,
        zone=zone,
        calendars=tuple(replace(each, zone=zone, offsets=offsets) for each in city.calendars),
        posts=(*city.posts, Post(code="D1-WARDEN", title="巡查员", role="warden", grid="D1")),
        duties=tuple(DutyRow(code=name.upper(), name="巡查", role="warden", period=name) for name in PERIODS),
    )


def owed(engine: Engine) -> dict[tuple[str, int], tuple[int, int | None]]:
    """When the duty of each row and first day was born, and when it is due."""
    found, born = dict[tuple[str, int], tuple[int, int | None]](), 0
    for step in runs.steps(engine):
        told = decode_facts(step.body)
        for fact in told:
            if isinstance(fact, facts.Born):
                born = fact.judged
            if isinstance(fact, DutyOwed):
                [due] = [each.due for each in told if isinstance(each, facts.ClockStarted)]
                assert (fact.duty, fact.first) not in found, "born twice"
                found[fact.duty, fact.first] = (born, due)
    return found


# ---- an independent calendar --------------------------------------------------------------------------------


def begins(day: date, zone: ZoneInfo) -> int:
    """The first instant of a local day, ms UTC."""
    return round(datetime.combine(day, time(), zone).astimezone(UTC).timestamp() * 1000)


def periods(day: date) -> Iterator[tuple[str, date]]:
    """The periods that begin on a day, and the first day after each."""
    yield "DAY", day + timedelta(1)
    if day.isoweekday() == 1:
        yield "WEEK", day + timedelta(7)
    if day.day in (1, 16):
        month_after = (day.replace(day=28) + timedelta(4)).replace(day=1)
        yield "HALF_MONTH", day.replace(day=16) if day.day == 1 else month_after
    if (day.month, day.day) == (1, 1):
        yield "YEAR", day.replace(year=day.year + 1)


def expected(zone: str, arrivals: list[int]) -> dict[tuple[str, int], tuple[int, int | None]]:
    """What is owed by somebody who is seen at these instants (ms UTC), in order."""
    info, found = ZoneInfo(zone), dict[tuple[str, int], tuple[int, int | None]]()
    silences = [(a, b) for a, b in pairwise(arrivals) if b - a > 7 * DAY_MS]
    day = datetime.fromtimestamp(arrivals[1] / 1000, info).date() - timedelta(days=400)
    while (first := begins(day, info)) < arrivals[-1] - 300_000:
        for row, then in periods(day):
            last = begins(then, info) - 1
            if not any(a < first and last < b for a, b in silences):
                found[row, day.year * 10_000 + day.month * 100 + day.day] = (first, last)
        day += timedelta(1)
    return found


def seen(zone: str) -> list[int]:
    """Noons at which something arrives: every third day, but for weeks in spring, the summer and the days before New
    Year. Both changes of the clocks of each place lie between two of them."""
    spans = [("02-10", 12), ("03-25", 4), ("10-12", 9), ("12-28", 4)]
    info, found = ZoneInfo(zone), [BEFORE_ALL]
    for begin, times in spans:
        noon = datetime.fromisoformat(f"2015-{begin}T12:00").replace(tzinfo=info)
        found += [round((noon + timedelta(days=3 * k)).timestamp() * 1000) for k in range(times)]
    return found


@pytest.mark.parametrize(
    ("zone", "lengths"),
    [
        (BOSTON, {20150308: 23, 20151101: 25}),
        ("Europe/Berlin", {20150329: 23, 20151025: 25}),
        ("America/Sao_Paulo", {20150221: 25, 20151018: 23}),  # at midnight: one comes twice, one never
    ],
)
def test_a_history_of_2015_owes_what_the_calendar_of_the_place_says(
    tmp_path: Path, zone: str, lengths: dict[int, int]
) -> None:
    arrivals = seen(zone)
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}", 1, consumers=runs.consumers()) as engine:
        runs.install(engine, pack(zone))
        for instant in arrivals[1:]:
            engine.append([Submission(0, "tick", "owner", "")], instant)
        engine.drain()
        found, wanted = owed(engine), expected(zone, arrivals)
        assert found == wanted
        assert found.keys() >= {("DAY", day) for day in lengths} | {("YEAR", 20160101)}
        for day, hours in lengths.items():
            born, due = found["DAY", day]
            assert due is not None and due + 1 - born == hours * 3_600_000
        told = [f for step in runs.steps(engine) for f in decode_facts(step.body) if isinstance(f, Unobserved)]
        assert [(f.begin, f.end) for f in told] == [(a, b) for a, b in pairwise(arrivals) if b - a > 7 * DAY_MS]
        assert [m for m in verify(engine.database) if m.what not in ("position", "delivery")] == []
        with engine_on(f"sqlite:///{tmp_path / 'b.db'}", 1, 1, 3) as again:
            replay_log(again, export_log(engine))
            assert runs.steps(again) == runs.steps(engine)


def test_the_city_s_own_record_bears_what_was_owed_beside_it_from_its_first_line_on(tmp_path: Path) -> None:
    lines, told = record()[:120], []
    first, last = instant(lines[0]), instant(lines[-1])
    until = last + 20 * DAY_MS
    for partitions in (1, 32):
        with engine_on(
            f"sqlite:///{tmp_path / str(partitions)}.db", partitions, 40 if partitions == 1 else 500
        ) as engine:
            runs.install(engine, pack())
            replay_events(engine, lines, "the city", until)
            told.append(runs.facts(engine))
            # An owner ticks whatever is due, so nothing of the days between the lines is silent; but all before them.
            assert owed(engine) == expected(BOSTON, [BEFORE_ALL, first, *range(first, until, DAY_MS), until])
    assert told[0] == told[1]


def instant(line: bytes) -> int:
    """The instant of an event, ms UTC."""
    event = decode_envelope(line)
    assert isinstance(event, Envelope)
    return to_ms(event.time)
