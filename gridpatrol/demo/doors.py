"""What comes in by further doors in the demo's year: petitions, values of devices, joint work, approvals, calls.

All of it is made up, as the rest of the year. It has a stream of chance of its own. What becomes of it is said by
offices (`gridpatrol.demo.desks`).

1. Petitions come by every source of the pack, to the hotline and to street offices, also of what lies in another one.
2. Devices measure values, and the rules by which an adapter watches them make episodes of these.
3. Some incidents have further owners: streets, departments, and neighbours outside the register.
4. Approvals are applied for all the year; a same-day matter is mostly decided on that day.
5. Of a hotline call that was closed who called is not always satisfied.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from gridpatrol.demo.events import mint
from gridpatrol.demo.hours import MINUTE, Gap
from gridpatrol.demo.incident_script import PlannedEvent
from gridpatrol.demo.year import Year, arrival
from schemas.derived_ids import derived_subject
from workflows import watching
from workflows.policy.devices import Device, SignalRule
from workflows.watching import Saying, Watched

EVERY_PETITION, EVERY_APPROVAL, EVERY_JOINT, EVERY_CALL = 4, 4, 26, 26
"""So many days lie between two of a kind."""
WISHES = ("希望尽快处理并答复", "多次反映，请给予书面答复", "请说明处理进展", "建议加强夜间巡查")
ASKS = ("D3-01", "D3-04", "D3-08", "D2-13")
"""Of which problems the public speaks, where the pack has them."""
BANNED_GRID = "WY07"
"""Every second approval is to be here, where a permit ban is proposed in the course of the year."""


class Episode(NamedTuple):
    """Values of a device pass the steps of a rule: from a day of the year on, for so many hours, up to one of them."""

    device: str
    rule: str
    month: int
    day: int
    hours: float
    steps: int = 1


EPISODES = (
    Episode("DEMO-AIR-1", "air-pm10", 1, 14, 60, 2),
    Episode("DEMO-STACK-1", "stack-so2", 2, 11, 18),
    Episode("DEMO-DUST-1", "yard-pm10", 3, 10, 5, 3),
    Episode("DEMO-DUST-2", "yard-pm10", 3, 10, 9, 2),
    Episode("DEMO-SECTION-1", "section-cod", 4, 8, 30, 2),
    Episode("DEMO-STACK-1", "stack-so2", 5, 6, 24 * 60, 2),
    Episode("DEMO-EXHAUST-1", "exhaust-smoke", 6, 12, 2),
    Episode("DEMO-SOURCE-1", "source-ph", 7, 3, 20, 2),
    Episode("DEMO-MOBILE-1", "mobile-voc", 7, 22, 6, 2),
    Episode("DEMO-DUST-1", "yard-pm10", 9, 15, 6, 2),
    Episode("DEMO-GAMMA-1", "gamma", 10, 20, 3, 2),
    Episode("DEMO-SECTION-1", "section-cod", 11, 5, 200, 3),
    *(Episode("DEMO-VIDEO-1", "video-smoke", month, 4 + month, 0.6) for month in range(1, 13)),
)
"""What devices measure. One storm outlasts the handling of its incident, and two devices of one place storm at once."""
SILENCES = (("DEMO-SECTION-1", 6, 20, 9), ("DEMO-AIR-1", 8, 9, 30), ("DEMO-DUST-2", 10, 11, 3))
"""Devices that are not heard of: from a day of the year on, for so many hours."""


class Doors:
    """What comes in by the doors of a year."""

    def __init__(self, year: Year) -> None:
        self.year, self.locality = year, year.locality
        self.rng = Random(f"{year.seed}:{year.year}:doors")
        self.streets = sorted({year.locality.policy.home(leaf) for leaf in year.locality.leaves})
        self.count = 0

    def events(self) -> list[dict[str, Any]]:
        """All that comes in, in order of arrival."""
        said = [*self.petitions(), *self.signals(), *self.joint(), *self.approvals(), *self.calls()]
        return sorted(said, key=arrival)

    def say(self, trigger: str, actor: str, subject: str, at: int, data: dict[str, Any]) -> dict[str, Any]:
        """An event that comes in."""
        self.count += 1
        return self.year.writer.event(PlannedEvent(trigger, actor, data, Gap(0)), subject, f"door-{self.count}", at)

    def days(self, first: int, every: int) -> Iterator[tuple[int, date]]:
        """Days of the year from its so manieth on, so many apart, with their number; none of its last three weeks."""
        begin, end = date(self.year.year, 1, first), date(self.year.year, 12, 10)
        for number in range((end - begin).days // every):
            yield number, begin + timedelta(days=every * number)

    # ---- who asks -------------------------------------------------------------------------------------------

    def petitions(self) -> Iterator[dict[str, Any]]:
        """One by each source of the pack after the other. Street offices take in what comes by letter or in person."""
        policy, rng = self.locality.policy, self.rng
        sources = list(policy.pack.sources)
        asks = [code for code in ASKS if code in policy.categories]
        taken_by = {"phone": "WY-12345", "app": "WY-PUBLIC", "fax": "WY-12345", "online": "WY-OFFICE"}
        for number, day in self.days(7, EVERY_PETITION) if sources and asks else ():
            source, at = sources[number % len(sources)], self.year.at(day, rng.uniform(500, 1000))
            street = self.streets[number % len(self.streets)]
            post = taken_by.get(source.channel, f"{street}-STAFF1")
            data: dict[str, Any] = {
                "category": rng.choice(asks),
                "channel": source.channel,
                "via": source.code,
                "grid": rng.choice(self.locality.leaves),  # of any street, whoever takes it in
                "reference": f"示例信访〔{self.year.year}〕{number + 1}号",
                "description": rng.choice(WISHES),
                "name": "示例群众",
                "contact": "经受理岗位转接",
            }
            data |= {"department": "WY-EPB"} if source.look_first else {}  # who looks first
            yield self.say("petition.submitted", post, mint(policy.home(policy.posts[post].grid), at, rng), at, data)

    def calls(self) -> Iterator[dict[str, Any]]:
        """A call of the hotline that is only to be handled; every second caller is not satisfied with what was done."""
        policy, rng = self.locality.policy, self.rng
        for number, day in self.days(10, EVERY_CALL):
            leaf, at = rng.choice(self.locality.leaves), self.year.at(day, rng.uniform(500, 1000))
            subject = mint(policy.home(leaf), at, rng)
            words = {"definition": "service_request", "category": "D3-04", "source": "hotline", "grid": leaf}
            yield self.say("report.submitted", "WY-12345", subject, at, words)
            for cycle in range(1 + number % 2):
                at += round(rng.uniform(3, 9) * 60 * MINUTE)
                yield self.say("incident.closed", "WY-DISPATCH", subject, at, {})
                if cycle < number % 2:
                    at += 1440 * MINUTE
                    yield self.say("case.reopened", "WY-12345", subject, at, {"reason": "dissatisfied"})

    # ---- what is measured -----------------------------------------------------------------------------------

    def signals(self) -> Iterator[dict[str, Any]]:
        """The episodes of all storms and silences; most of those that somebody has to look at first are looked at."""
        policy = self.locality.policy
        devices, rules = policy.devices, policy.signals
        for planned in EPISODES:
            if planned.device in devices and planned.rule in rules:
                device, rule = devices[planned.device], rules[planned.rule]
                begin = self.year.at(date(self.year.year, planned.month, planned.day), self.rng.uniform(480, 960))
                episode = list(self.of_values(device, rule, values_of(rule, begin, planned.hours, planned.steps)))
                yield from episode
                if rule.check and self.rng.random() < 0.5:
                    soon = arrival(episode[0]) + round(self.rng.uniform(15, 100) * MINUTE)
                    yield self.say("signal.confirmed", f"{device.grid}-MEMBER", episode[0]["subject"], soon, {})
        silent = next((rule for rule in policy.pack.signals if rule.test == "silent"), None)
        for code, month, day, hours in SILENCES if silent is not None else ():
            if code in devices and silent is not None:
                heard = self.year.at(date(self.year.year, month, day), self.rng.uniform(480, 960))
                found = watching.fall_silent(silent, heard, heard + silent.hold_down_ms)
                assert found is not None  # by then it is silent
                again = watching.speak_again(found[0], heard + hours * 60 * MINUTE)
                yield from (self.of_adapter(each, devices[code], silent) for each in (found[1], again))

    def of_values(
        self, device: Device, rule: SignalRule, values: Iterable[tuple[int, Decimal]]
    ) -> Iterator[dict[str, Any]]:
        """What an adapter says of the values of a device, watched by a rule as it watches them."""
        state: Watched | None = None
        for at, value in values:
            state, sayings = watching.follow(rule, state, at, value)
            yield from (self.of_adapter(each, device, rule) for each in sayings)

    def of_adapter(self, said: Saying, device: Device, rule: SignalRule) -> dict[str, Any]:
        """What an adapter says of an episode, with the id that follows from device, rule and first instant."""
        policy, text = self.locality.policy, self.year.writer.text
        home = policy.home(policy.standing(device.grid, said.since))
        day = policy.clock_of_days.local_day(said.since)
        subject = derived_subject(home, "signal", rule.code, device.code, day, said.since)
        data: dict[str, Any]
        match said.what:
            case "began":
                data = {"device": device.code, "rule": rule.code, "since": text(said.since), "severity": said.severity}
            case "worsened":
                data = {"severity": said.severity}
            case "ended":
                data = {"since": text(said.at), "reason": said.reason}
                data |= {"worst": said.worst} if said.worst else {}
        data |= {"value": said.value} if said.value else {}
        return self.say(f"signal.{said.what}", device.post, subject, said.at, data)

    # ---- what several own -----------------------------------------------------------------------------------

    def joint(self) -> Iterator[dict[str, Any]]:
        """Problems across borders: the district gives a street and a department their parts, and writes to a neighbour;
        who leads does its own, and waits for the others."""
        policy, rng, neighbours = self.locality.policy, self.rng, self.locality.policy.pack.neighbours
        written_to = [each.code for each in neighbours if each.grid != policy.root]
        for number, day in self.days(13, EVERY_JOINT):
            street = self.streets[number % len(self.streets)]
            leaf = rng.choice([leaf for leaf in self.locality.leaves if policy.home(leaf) == street])
            beside = rng.choice([each for each in self.streets if each != street])
            at = self.year.at(day, 560)
            subject = mint(street, at, rng)
            found = {"category": "D3-04", "source": "hotline", "grid": leaf, "description": "跨界问题（示例）"}
            owners = {
                "owners": [beside, rng.choice(("WY-URBAN", "WY-EPB"))],
                "neighbours": written_to[: 1 + number % 2],
            }
            met = {"what": "meeting" if number % 2 else "enforcement", "participants": [beside, *written_to[:1]]}
            words: tuple[tuple[str, str, float, dict[str, Any]], ...] = (
                ("report.submitted", "WY-12345", 0, found),
                ("incident.accepted", f"{street}-CHIEF", 40, {}),
                ("parts.ordered", "WY-OFFICE", 120, owners),
                ("joint.recorded", f"{street}-CHIEF", 1440, met),
                ("handling.completed", f"{street}-CHIEF", 1500, {}),
            )
            for trigger, actor, minutes, data in words:
                yield self.say(trigger, actor, subject, at + round(minutes * MINUTE), data)

    # ---- what is applied for --------------------------------------------------------------------------------

    def approvals(self) -> Iterator[dict[str, Any]]:
        """One matter after the other, as long as the pack has it; some are urgent."""
        policy, rng = self.locality.policy, self.rng
        elsewhere = [street for street in self.streets if street != BANNED_GRID]
        for number, day in self.days(8, EVERY_APPROVAL):
            today = day.year * 10_000 + day.month * 100 + day.day
            matters = [
                row
                for row in policy.pack.approvals
                if row.valid_from <= today and (not row.valid_to or today <= row.valid_to)
            ]
            if not matters:
                return
            matter, at = matters[number % len(matters)], self.year.at(day, rng.uniform(560, 640))
            urgent = not matter.same_day and rng.random() < 0.15
            subject = mint(policy.root, at, rng)
            data: dict[str, Any] = {
                "matter": matter.code,
                "grid": BANNED_GRID if not matter.same_day and number % 2 else rng.choice(elsewhere),
                "department": "WY-EPB",
                "lane": "emergency" if urgent else "ordinary",
                "applicant": "示例申请人",
                "project": "示例项目",
                "reference": f"示例审批〔{self.year.year}〕{number + 1}号",
            }
            yield self.say("approval.filed", "WY-12345", subject, at, data)
            if matter.same_day and rng.random() < 0.6:
                at += round(rng.uniform(60, 300) * MINUTE)
                yield self.say("approval.decided", "WY-EPB-H", subject, at, {"outcome": "granted"})


def values_of(rule: SignalRule, begin: int, hours: float, steps: int) -> Iterator[tuple[int, Decimal]]:
    """Made-up values under a rule: they pass its first step, then further ones, and are back after so many hours. Time
    between two is a fraction of what the rule waits for."""
    step = max(MINUTE, min(rule.hold_down_ms or MINUTE, rule.debounce_ms or MINUTE))
    step = max(step, round(hours * 60 * MINUTE / 200))  # a storm of weeks is told by its hours
    beyond = Decimal("1.1") if rule.test == "above" else Decimal("0.95")
    count = max(4, round(hours * 60 * MINUTE / step))
    for number in range(count):
        reached = rule.steps[min(number * steps // count, len(rule.steps) - 1)]
        yield begin + number * step, (reached * beyond).quantize(Decimal("0.01"))
    back = rule.back / beyond
    until = begin + count * step
    for at in (until, until + step, until + rule.debounce_ms + 2 * step):
        yield at, back.quantize(Decimal("0.01"))
