"""A storm: a few hundred events from a seed, with everything that a month of demo traffic does not have.

Its lines are in order of arrival. There are bursts of deadlines at one instant and on
the milliseconds after it, records that arrive at a deadline and one millisecond later, deadlines that were past when
they were ordered, suspensions that end on a deadline, reworked cases with parked events, events that come early, late
(some beyond the offline allowance), twice, or with other content under the same id, and some that nobody may say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from lab.events import DAY, HOUR, MINUTE, at, event, instant, subject

FIRST = at("03-02 09:00")
BURST = at("03-04 10:30")
"""Many deadlines lie here, and on the milliseconds after it."""
HOMES = tuple(f"WY{number:02}" for number in range(1, 13))


class Storm:
    """The writer of one storm."""

    def __init__(self, seed: int, cases: int = 60) -> None:
        self.rng = Random(seed)
        self.sent: list[tuple[int, int, dict[str, Any]]] = []
        self.patrol = False  # found by the leaf itself, which dissuades first
        for number in range(1, cases + 1):
            self._case(number)

    def lines(self) -> list[bytes]:
        """All events in order of arrival."""
        return [json.dumps(said, ensure_ascii=False).encode() for _, _, said in sorted(self.sent, key=lambda s: s[:2])]

    # ---- one case -------------------------------------------------------------------------------------------

    def _case(self, number: int) -> None:
        """Reported somehow, then the main line with accidents."""
        self.home = self.rng.choice(HOMES[: self.rng.choice((1, 3, 12))])
        self.case, self.leaf, self.words = subject(self.home, number), f"{self.home}-01", 0
        begun = self.rng.choice((FIRST, BURST - 90 * MINUTE, FIRST + self.rng.randrange(2 * DAY)))
        self._report(begun)
        now = begun
        for kind, by, data in self._plot():
            now += self.rng.choice((1000, 7 * MINUTE, 3 * HOUR, 20 * HOUR))
            if self.rng.random() < 0.2:
                now = BURST + self.rng.choice((-1, 0, 0, 1, 1, 2))
            self._say(kind, by, now, **data)

    def _report(self, when: int) -> None:
        data: dict[str, Any] = {"category": self.rng.choice(("D3-04", "D3-04", "D3-01", "D2-14")), "grid": self.leaf}
        data["source"] = self.rng.choice(("patrol", "hotline", "camera"))
        data["definition"] = self.rng.choice(("incident", "incident", "service_request"))
        if self.rng.random() < 0.5:
            past = (when - HOUR, when) if self.rng.random() < 0.1 else ()
            data["deadline"] = instant(self.rng.choice((BURST, BURST, BURST + 1, BURST + 2, BURST + HOUR, *past)))
        if self.rng.random() < 0.4:
            spot = self.rng.randrange(3) * 0.0002
            data["position"] = {"lon": round(108.93 + spot, 6), "lat": 34.3}
        self.patrol = data["source"] == "patrol"
        if self.patrol:
            data.pop("deadline", None)  # who finds it on patrol orders none
        self._say("report.submitted", f"{self.leaf}-MEMBER" if self.patrol else "WY-12345", when, **data)

    def _plot(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """The main line, now and then with a side line, an early word, or a second cycle."""
        chief, member = f"{self.home}-CHIEF", f"{self.leaf}-MEMBER"
        if self.rng.random() < (0.8 if self.patrol else 0.1):
            yield "dissuasion.recorded", member, {"outcome": self.rng.choice(("effective", "ineffective"))}
            yield "incident.reported_up", member, {}
        line = [
            ("incident.accepted", chief, {}),
            ("handling.completed", chief, {}),
            *(
                ("verification.recorded", by, {"outcome": self.rng.choice(("solved", "solved", "unsolved"))})
                for by in self.rng.choice(((member,), (chief, member)))
            ),
            ("incident.closed", self.rng.choice((member, "WY-DISPATCH")), {}),
        ]
        for _ in range(self.rng.choice((1, 1, 2))):
            if self.rng.random() < 0.3:  # what comes later in the line is said earlier, and has to wait
                early = self.rng.randrange(len(line) - 1)
                line[early], line[early + 1] = line[early + 1], line[early]
            for word in line[: self.rng.choice((2, 4, len(line), len(line)))]:
                if self.rng.random() < 0.25:
                    yield self._aside(chief, member)
                yield word

    def _aside(self, chief: str, member: str) -> tuple[str, str, dict[str, Any]]:
        until = instant(self.rng.choice((BURST, BURST + 1, BURST + DAY)))
        return self.rng.choice(
            (
                ("incident.suspended", chief, {"reason": "season", "until": until}),
                ("incident.suspended", chief, {"reason": "season", "until": until}),
                ("incident.resumed", chief, {}),
                ("incident.escalated", chief, {"reason": "coordination"}),
                ("incident.returned", "WY-CHIEF", {"reason": "not_our_duty"}),
                ("deadline.ordered", "WY-CHIEF", {"due": until}),
                ("deadline.ordered", "WY-CHIEF", {"clock": "handle", "limit": "2紧急工作时"}),
                ("rectification.ordered", chief, {"stage": 1, "due": until}),
                ("incident.acknowledged", chief, {}),
                ("comment.added", member, {"note": "现场无人"}),
                ("incident.accepted", "WY-SUPERVISOR", {}),  # may not
                ("incident.force_closed", "WY-CHIEF", {"reason": "policy"}),
            )
        )

    # ---- sending --------------------------------------------------------------------------------------------

    def _say(self, kind: str, by: str, when: int, **data: Any) -> None:
        """Send it: mostly at once, sometimes late, twice, or once more with other content."""
        self.words += 1
        said = event(kind, by, when, case=self.case, id=f"{self.case[-4:]}-{self.words}", **data)
        arrival, chance = when, self.rng.random()
        if chance < 0.15:
            arrival += self.rng.choice((1, 40 * MINUTE, 9 * HOUR, 80 * HOUR))
        elif chance < 0.2:
            arrival = max(arrival, BURST)
        self._send(said, arrival)
        if self.rng.random() < 0.06:
            self._send(said, arrival + self.rng.choice((0, 1, HOUR)))
        if self.rng.random() < 0.04:
            self._send({**said, "time": instant(when + 1)}, arrival + 1)

    def _send(self, said: dict[str, Any], arrival: int) -> None:
        late = {"recordedtime": instant(arrival)}
        self.sent.append((arrival, len(self.sent), {**said, **late}))
