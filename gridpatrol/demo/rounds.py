"""Patrols and rounds of a demo: posts record most of what they owe, some of it late; some is forgotten."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from gridpatrol.demo.hours import MINUTE, Gap
from gridpatrol.demo.incident_script import PlannedEvent
from gridpatrol.demo.locality import Locality
from schemas.derived_ids import derived_subject
from workflows.case import Case
from workflows.periods import Period, first_instant, following, holding, last_instant
from workflows.policy.duties import is_owed
from workflows.policy.model import DutyRow, Post

DONE, EXCUSED, OFFLINE = 0.93, 0.02, 0.04
"""Shares of what is owed: what is done, what somebody above excuses, what a phone tells hours later."""
EXCUSES = ("weather", "illness", "leave", "other_orders")
DAY = 24 * 60 * MINUTE
HOURS = (8.0, 18.5)
"""From when to when in a day people are out."""


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
            post, period = policy.posts[code], holding(row.period, days.local_day(begin))
            while (starts := first_instant(period, days)) < end:
                if is_owed(row, post, period.first, policy):
                    subject = derived_subject(home, "duty", row.code, code, period.first, starts)
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
        above = Case(id=subject, path=locality.policy.path(post.grid)[:-1])
        who = rng.choice([p for p in locality.speakers("duty.excused", above) if p.grid == above.path[-1]])
        said = PlannedEvent("duty.excused", who.code, {"reason": rng.choice(EXCUSES)}, Gap(0))
        at = starts + left.start * DAY + round(rng.uniform(*HOURS) * 60 * MINUTE)
        yield PlannedRecord(said, subject, at, at)
    elif luck < EXCUSED + DONE:
        for day in sorted(rng.sample(left, min(row.quota, len(left)))):
            at = starts + day * DAY + round(rng.uniform(*HOURS) * 60 * MINUTE)
            late = round(rng.uniform(2, 16) * 60 * MINUTE) if rng.random() < OFFLINE else 0
            yield PlannedRecord(
                PlannedEvent("duty.recorded", post.code, record(row, at, rng), Gap(0)), subject, at, at + late
            )


def record(row: DutyRow, at: int, rng: Random) -> dict[str, Any]:
    """What a record brings."""
    name = f"https://files.example/{row.code.lower()}-{at}"
    photo = {"url": f"{name}.jpg", "sha256": f"{rng.getrandbits(256):064x}", "kind": "near"}
    form = {"url": f"{name}.pdf", "sha256": f"{rng.getrandbits(256):064x}", "kind": "document"}
    brought: dict[str, Any] = {"evidence": [photo]} if "photo" in row.needs else {}
    return brought | ({"form": form} if "form" in row.needs else {})
