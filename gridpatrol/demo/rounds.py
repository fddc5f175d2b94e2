"""Patrols and rounds of a demo: posts record most of what they owe, some of it late; some is forgotten."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from gridpatrol.demo.hours import MINUTE, Gap
from gridpatrol.demo.incident_script import PlannedEvent
from gridpatrol.demo.locality import Locality
from schemas.derived_ids import derived_subject
from workflows.case import AWAITED, Case
from workflows.periods import Period, first_instant, following, holding, last_instant
from workflows.policy.duties import is_owed, site_stands
from workflows.policy.model import DutyRow, Post

DONE, EXCUSED, OFFLINE = 0.93, 0.02, 0.04
"""Shares of what is owed: what is done, what somebody above excuses, what a phone tells hours later."""
EXCUSES = ("weather", "illness", "leave", "other_orders")
DAY = 24 * 60 * MINUTE
HOURS = (8.0, 18.5)
"""From when to when in a day people are out."""
LIVE_HOURS = (0.2, 23.5)
"""The same of a demo that is watched, at whatever hour."""


class PlannedRecord(NamedTuple):
    """Something said of a duty: what, about which one, when, and when it arrives."""

    planned: PlannedEvent
    subject: str
    at: int
    arrival: int


def rounds_of(locality: Locality, begin: int, end: int, rng: Random) -> Iterator[PlannedRecord]:
    """What is said of all duties whose periods end after the first event of a demo and begin before its last one."""
    policy = locality.policy
    days = policy.clock_of_days
    for home in sorted({policy.home(leaf) for leaf in locality.leaves}):
        for row, code in policy.duties_of(home):
            if row.listed:
                continue  # whether it is owed is known only when its period begins
            post, period = policy.posts[code], holding(row.period, days.local_day(begin))
            while (starts := first_instant(period, days)) < end:
                for site in policy.sites_of(row, code) if is_owed(row, post, period.first, policy) else ():
                    if site_stands(site, period.first, policy):
                        subject = derived_subject(home, "duty", row.code, code, period.first, starts, site)
                        yield from of_duty(locality, row, post, period, subject, begin, rng)
                period = following(period)


def of_duty(
    locality: Locality, row: DutyRow, post: Post, period: Period, subject: str, begin: int, rng: Random
) -> Iterator[PlannedRecord]:
    """What is said of one duty, from the day after `begin` on."""
    days, luck = locality.policy.clock_of_days, rng.random()
    starts, ends = first_instant(period, days), last_instant(period, days)
    left = range(max(0, (begin - starts) // DAY + 1), round((ends + 1 - starts) / DAY))
    if not left:
        return
    if luck < EXCUSED:
        said = excuse(locality, post, subject, rng)
        at = starts + left.start * DAY + round(rng.uniform(*HOURS) * 60 * MINUTE)
        yield PlannedRecord(said, subject, at, at)
    elif luck < EXCUSED + DONE:
        for day in sorted(rng.sample(left, min(row.quota, len(left)))):
            at = starts + day * DAY + round(rng.uniform(*HOURS) * 60 * MINUTE)
            late = round(rng.uniform(2, 16) * 60 * MINUTE) if rng.random() < OFFLINE else 0
            yield PlannedRecord(
                PlannedEvent("duty.recorded", post.code, record(row, at, rng), Gap(0)), subject, at, at + late
            )


def live_plan(locality: Locality, line: dict[str, Any], now: int) -> PlannedRecord | None:
    """What will be said of a duty of the list of duties, and when; None where it is forgotten, or owed by nobody.

    Its subject is derived, as on a phone that has lost its list. The same line gives the same plan: what was to be said
    before `now` comes within minutes, as from a phone that finds a network again; a round whose day is over is made
    today, and of a period that is over few tell late.
    """
    policy, days = locality.policy, locality.policy.clock_of_days
    row, post = policy.duties.get(line["duty"]["code"]), policy.posts.get(line["post"]["code"])
    if row is None or post is None or line["state"] == AWAITED or not line["left"]:
        return None
    period = holding(row.period, int(line["first"].replace("-", "")))
    starts, ends, today = first_instant(period, days), last_instant(period, days), days.day_start(days.local_day(now))
    site = (line.get("site") or {}).get("code", "")
    subject = derived_subject(policy.home(post.grid), "duty", row.code, post.code, period.first, starts, site)
    rng = Random(f"{subject}|{line['recorded']}")
    luck, day = rng.random(), rng.randrange(round((ends + 1 - starts) / DAY))
    at = starts + day * DAY + round(rng.uniform(*LIVE_HOURS) * 60 * MINUTE)
    offline = rng.random() < OFFLINE and at > today - DAY
    if at < today and not offline:
        at += today - days.day_start(days.local_day(at))
    if at > ends or luck >= EXCUSED + DONE:
        return None
    arrival = at + (round(rng.uniform(2, 16) * 60 * MINUTE) if offline else 0)
    if arrival <= now:
        arrival = now + round(rng.uniform(0, 15) * MINUTE)
    if luck < EXCUSED:
        return PlannedRecord(excuse(locality, post, subject, rng), subject, arrival, arrival)
    said = PlannedEvent("duty.recorded", post.code, record(row, at, rng), Gap(0))
    return PlannedRecord(said, subject, at, arrival)


def excuse(locality: Locality, post: Post, subject: str, rng: Random) -> PlannedEvent:
    """Somebody of the grid above excuses a duty of a post."""
    above = Case(id=subject, path=locality.policy.path(post.grid)[:-1])
    who = rng.choice([p for p in locality.speakers("duty.excused", above) if p.grid == above.path[-1]])
    return PlannedEvent("duty.excused", who.code, {"reason": rng.choice(EXCUSES)}, Gap(0))


def record(row: DutyRow, at: int, rng: Random) -> dict[str, Any]:
    """What a record brings."""
    name = f"https://files.example/{row.code.lower()}-{at}"
    photo = {"url": f"{name}.jpg", "sha256": f"{rng.getrandbits(256):064x}", "kind": "near"}
    form = {"url": f"{name}.pdf", "sha256": f"{rng.getrandbits(256):064x}", "kind": "document"}
    brought: dict[str, Any] = {"evidence": [photo]} if "photo" in row.needs else {}
    return brought | ({"form": form} if "form" in row.needs else {})
