"""A month of a city as a file: CloudEvents as JSON lines, in order of arrival, ending at a given instant.

The same pack folder, end and seed give the same file. An event's arrival is its `recordedtime` where it came late, else
its `time`. At the end incidents stand open in every state of the main line, some of them overdue, whatever hour or day
it is.

1. Most incidents begin when problems are found, more by day than by night, and go on in office hours.
2. Those that stand at the end are dated backwards from it, so that none depends on the hour.
3. Phones without network send later, at once and in any order; some things are sent twice.
4. Posts record most of the patrols and rounds that they owe.
5. A faulty app sends what the engine has to refuse. Everything of it has the source `/demo/faulty`.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from gridpatrol.demo.events import CloudEventWriter, mint
from gridpatrol.demo.hours import MINUTE, Gap, earlier, later, likely
from gridpatrol.demo.incident_script import OPEN, IncidentScript, PlannedEvent
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.rounds import rounds_of
from gridpatrol.demo.scenarios import draw, fit_for, main_line, whole

DAYS = 30
STANDING = {
    "discovered": 4,
    "dissuading": 4,
    "reported": 5,
    "accepted": 5,
    "handling": 6,
    "feedback": 4,
    "verifying": 5,
    "verified": 4,
    "returned": 2,
    "suspended": 3,
}
"""How many incidents are made to stand at the end in each state; others stand where the month left them."""
FAULTS = 12


class Sent(NamedTuple):
    """An event on its way: when it arrives, and what breaks a tie."""

    arrival: int
    order: int
    event: dict[str, Any]


class Timed(NamedTuple):
    """A planned event with its instants."""

    planned: PlannedEvent
    at: int
    arrival: int


def write_month(
    path: Path, pack_folder: Path, end: datetime, seed: int, incidents: int = 600, *, rounds: bool = True
) -> int:
    """Write the month that ends at `end` (with a zone), as JSON lines, with or without what posts record of their
    duties. Returns how many events it has."""
    if end.tzinfo is None:
        raise ValueError(f"the end of the month needs a zone, got {end.isoformat()}")
    month = Month(Locality(pack_folder), round(end.timestamp() * 1000), seed)
    events = month.events(incidents, rounds)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for event in events:
            file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
    return len(events)


class Month:
    """The writer of one month, or of so many `days`; of each state so many are left `standing` at the end."""

    def __init__(
        self, locality: Locality, end: int, seed: int, days: int = DAYS, standing: dict[str, int] = STANDING
    ) -> None:
        self.locality, self.end, self.seed = locality, end, seed
        self.days, self.standing = days, standing
        self.rng = Random(f"{seed}:{end}")
        self.writer = CloudEventWriter(locality, "/demo")
        self.sent: list[Sent] = []

    def events(self, incidents: int, rounds: bool) -> list[dict[str, Any]]:
        """All events in order of arrival."""
        for state, count in self.standing.items():
            for index in range(count):
                self._leave_standing(state, overdue=index % 2 == 1)
        for _ in range(incidents - sum(self.standing.values())):
            self._play_whole()
        for sent in self.rng.sample(self.sent, len(self.sent) // 60):
            # An app that heard no answer sends again: the same source, id and content.
            arrival = sent.arrival + self.rng.randint(2, 900) * 1000
            if arrival <= self.end:
                event = {**sent.event, "recordedtime": self.writer.text(arrival)}
                self.sent.append(Sent(arrival, len(self.sent), event))
        self._send_faults()
        if rounds:
            self._make_rounds()
        return [sent.event for sent in sorted(self.sent, key=lambda s: (s.arrival, s.order))]

    # ---- incidents that happen -----------------------------------------------------------------------------

    def _play_whole(self) -> None:
        """One incident, found at some time of the month."""
        slow = self.rng.choices((0.03, 0.5), (85, 15))[0]  # most are prompt; some take long again and again
        script = draw(self.locality, self.rng, self.locality.categories, slow=slow, offline=0.08)
        for _ in whole(script):
            if not script.away and script.state in OPEN and self.rng.random() < 0.05:
                script.remark()
        while True:  # until an instant of the month at which problems are found
            begun = self.end - self.rng.randrange(self.days * 1440 * MINUTE)
            if self.rng.random() * 0.45 < likely(begun, self.locality.zone):
                break
        subject = self._send(script, self._forwards(script.events, begun))
        if script.source == "patrol" and not script.events[0].offline and self.rng.random() < 0.03:
            # Somebody else reports the same problem: it is merged into the first.
            twin = IncidentScript(self.locality, self.rng, script.category, script.leaf, "public")
            twin.found(grid=script.leaf)
            if "position" in script.events[0].data:
                twin.events[0].data["position"] = script.events[0].data["position"]
            twin.end("merged", into=subject)
            self._send(twin, self._forwards(twin.events, begun + self.rng.randint(5, 50) * MINUTE))

    # ---- incidents that stand at the end -------------------------------------------------------------------

    def _leave_standing(self, state: str, overdue: bool) -> None:
        """An incident whose last step lies a little before the end, or so far that it is late."""
        script = fit_for(self.locality, self.rng, state, urgent=overdue and state in ("accepted", "handling"))
        from_here = ("reported", "accepted") if state in ("returned", "suspended") else (state,)
        for _ in main_line(script):
            if script.state in from_here:
                break
        if state == "returned":
            script.send_back("not_our_area")
        if state == "suspended":
            script.suspend("season", self.rng.uniform(2, 20) * 1440 if overdue else None)
        late = self.rng.uniform(245, 420) * MINUTE
        if state in ("discovered", "dissuading"):
            last = self.end - (round(late) if overdue else round(self.rng.uniform(2, 25) * MINUTE))
        elif overdue and state in ("accepted", "handling"):
            last = self.end - round(late)
        else:
            last = earlier(self.end, self.rng.uniform(3, 50) + (200 if overdue else 0), self.locality.zone)
        timed, at = list[Timed](), last
        for event in reversed(script.events):  # from the end back, all in order and with network
            timed.append(Timed(event, at, at))
            minutes = max(event.gap.minutes, 0.1)
            at = earlier(at, minutes, self.locality.zone) if event.gap.working else at - round(minutes * MINUTE)
        self._send(script, reversed(timed))

    # ---- from gaps to instants -----------------------------------------------------------------------------

    def _forwards(self, events: list[PlannedEvent], begun: int) -> Iterator[Timed]:
        """Instants from the beginning on. Events without network arrive together, after the last of them."""
        at, waiting = begun, list[tuple[PlannedEvent, int]]()
        for event in events:
            if waiting and not event.offline:
                if event.trigger == "incident.closed" and self.rng.random() < 0.4:
                    at = self._after(at, event.gap)  # closed before the check on site has arrived
                    yield Timed(event, at, at)
                    continue
                synced = list(self._synced(waiting))
                yield from synced
                at, waiting = max(timed.arrival for timed in synced), []
            at = self._after(at, event.gap)
            if event.offline:
                waiting.append((event, at))
            else:
                yield Timed(event, at, at)
        yield from self._synced(waiting)

    def _synced(self, waiting: list[tuple[PlannedEvent, int]]) -> Iterator[Timed]:
        """The phone finds a network: everything goes out within seconds, not always in order."""
        if not waiting:
            return
        begun = waiting[-1][1] + self.rng.randint(20, 900) * MINUTE
        order = self.rng.sample(range(len(waiting)), len(waiting)) if self.rng.random() < 0.5 else range(len(waiting))
        for (event, at), place in zip(waiting, order, strict=True):
            yield Timed(event, at, begun + place * 700)

    def _after(self, at: int, gap: Gap) -> int:
        """At least some seconds later."""
        if gap.working:
            return max(later(at, gap.minutes, self.locality.zone), at + 5000)
        return at + max(round(gap.minutes * MINUTE), 5000)

    # ---- sending -------------------------------------------------------------------------------------------

    def _send(self, script: IncidentScript, timeline: Iterable[Timed]) -> str:
        """Send the events of a script as far as the end of the month. Returns the incident's id."""
        timed = list(timeline)
        subject = mint(self.locality.policy.home(script.leaf), timed[0].at, self.rng)
        latest = 0
        for planned in script.events:
            at, arrival = next((t.at, t.arrival) for t in timed if t.planned is planned)
            latest = max(latest, arrival)
            if latest > self.end:
                break  # what follows has not happened yet
            id_ = f"{subject.rpartition('.')[2]}-{len(self.sent)}"
            event = self.writer.event(planned, subject, id_, at, arrival)
            self.sent.append(Sent(arrival, len(self.sent), event))
        return subject

    # ---- patrols and rounds --------------------------------------------------------------------------------

    def _make_rounds(self) -> None:
        """What posts record of their duties. They begin the day after the first event."""
        begin, rng = min(sent.arrival for sent in self.sent), Random(f"{self.seed}:{self.end}:rounds")
        for done in rounds_of(self.locality, begin, self.end, rng):
            if done.arrival <= self.end:
                id_ = f"{done.subject.rpartition('.')[2]}-{len(self.sent)}"
                event = self.writer.event(done.planned, done.subject, id_, done.at, done.arrival)
                self.sent.append(Sent(done.arrival, len(self.sent), event))

    # ---- what has to be refused ----------------------------------------------------------------------------

    def _send_faults(self) -> None:
        """A faulty app: each event is one that the engine refuses, with a reason of its own."""
        home_of, posts_at = self.locality.policy.home, self.locality.policy.posts_at
        good = [
            sent
            for sent in self.sent
            if sent.event["type"] == "gridpatrol.report.submitted.v1"
            and "recordedtime" not in sent.event
            and sent.arrival < self.end - 2 * MINUTE
        ]
        for index, sent in enumerate(self.rng.sample(good, FAULTS)):
            at, report = sent.arrival + MINUTE, sent.event
            home = report["subject"].rpartition(".")[0]
            elsewhere = next(leaf for leaf in self.locality.leaves if home_of(leaf) != home)
            fresh = {"subject": mint(home, at, self.rng)}
            faults: list[dict[str, Any]] = [
                {**fresh, "data": {**report["data"], "category": "D9-99"}},  # no such problem
                {"actor": posts_at(elsewhere, "member")[0], "type": "gridpatrol.comment.added.v1", "data": {}},
                {},  # reported already
                {**fresh, "actor": "NOBODY-1"},  # no such post
                {**fresh, "data": {**report["data"], "grid": elsewhere}},  # another home than the place's
                {**fresh, "type": "gridpatrol.dissuasion.recorded.v1", "data": {"outcome": "perhaps"}},
            ]
            faulty = {"id": f"faulty-{index}", "source": "/demo/faulty", "time": self.writer.text(at)}
            self.sent.append(Sent(at, len(self.sent), report | faulty | faults[index % len(faults)]))
