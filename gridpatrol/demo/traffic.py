"""Live traffic: people of the sample city, speaking to a running server over HTTP.

It reads the folder of the pack that is active there, and its token from GRIDPATROL_TOKEN where the server asks who
speaks. It sends about one event per second until it is stopped. It sees what everybody sees (`GET /v1/incidents`) and
does what everybody may (`POST /v1/events`): what the demo shows has come in at the door.

1. At the start, and again whenever it looks, it restores the mix: incidents in every state of the main line,
   one overdue, one reported since the start; at night, on a holiday and after a week without it as well.
2. Then it moves a share of what stands open on, by posts that may; some incidents it leaves to go overdue.
3. It keeps between 30 and 150 incidents open: few reports while many stand, more while few do.
4. It leaves alone what others have reported.
5. Posts record most of the patrols and rounds that they owe, under subjects that they derive; some come late, some are
   excused or forgotten.
6. Photos of live events are pictures that are drawn, and sent where the server keeps files.
7. With --phone one grid member has a phone with a token of its own (`gridpatrol.demo.phone`).
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from engine.packs import PackError
from gridpatrol.client import Refused, Server, ServerAway
from gridpatrol.demo.events import CloudEventWriter, mint
from gridpatrol.demo.incident_script import MAIN_LINE, OPEN, IncidentScript, Later, PlannedEvent
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.next_step import ORIGIN, advance, beside, revive
from gridpatrol.demo.phone import Phone
from gridpatrol.demo.photos import Photos
from gridpatrol.demo.rounds import DAY, PlannedRecord, live_plan
from gridpatrol.demo.scenarios import FINDERS, draw, fit_for, main_line

log = logging.getLogger(__name__)

FEW, USUAL, MANY = 40, 110, 140
"""Open incidents: below the first mostly reports come, above the last none."""
LOOK_EVERY_S = 10.0
ROUNDS_EVERY_S = 300.0
"""How often the list of duties is looked at."""
SLEEPERS = 6
"""One incident in so many is left alone, until too many stand."""


class Traffic:
    """The people of the sample city. `now` gives seconds since 1970 UTC."""

    def __init__(
        self,
        base_url: str,
        pack_folder: Path,
        seed: int,
        *,
        now: Callable[[], float],
        rate: float = 1.0,
        token: str = "",
    ) -> None:
        if rate <= 0:
            raise ValueError(f"the rate is events per second above 0, got {rate}")
        if not base_url.startswith("http://"):
            raise ValueError(f"the server's address is written http://host:port, got {base_url!r}")
        self.locality = Locality(pack_folder)
        self.server = Server(base_url, timeout_s=10, token=token)
        self.writer = CloudEventWriter(self.locality, ORIGIN)
        self.rng = Random(seed)
        self.now, self.rate = now, rate
        self.open: dict[str, dict[str, Any]] = {}  # id -> its line as last seen, with the state as we moved it
        self.left: set[str] = set()  # not ours, or nobody may move them
        self.recent: deque[dict[str, Any]] = deque(maxlen=40)
        self.looked = self.count = 0.0
        self.rounds: dict[str, PlannedRecord] = {}  # what will be said of duties, by the id of the event
        self.recorded: set[str] = set()  # ids of those that have been said
        self.looked_at_duties = -ROUNDS_EVERY_S
        self.photos = Photos(self.server, self.rng, time.monotonic)
        self.left_to_phone: set[str] = set()

    # ---- the day -------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, give_up_s: float = 60) -> None:
        """Publish until told to stop; ServerAway when no server has answered for so long."""

        def hang_up() -> None:
            stop.wait()
            self.server.hang_up()

        threading.Thread(target=hang_up, daemon=True).start()
        away_since: float | None = None
        ready = False
        while not stop.is_set():
            try:
                ready = ready or self._begin()
                pause = self._step() if ready else 0.2
                away_since = None
            except ServerAway as error:
                ready, pause = False, 0.3
                away_since = time.monotonic() if away_since is None else away_since
                if time.monotonic() - away_since > give_up_s and not stop.is_set():
                    raise ServerAway(f"no server has answered for {give_up_s:.0f} s: {error.args[0]}") from error
            except Refused as error:
                log.warning("the server answered %d: %s", error.status, error)
                pause = 1.0
            stop.wait(pause)

    def _begin(self) -> bool:
        """Once the server is ready: restore the mix."""
        try:
            self.server.get("/readyz")
        except Refused:
            return False  # it is there, but still busy with its past
        self.restore_mix(fresh=True)
        return True

    def _step(self) -> float:
        """One thing that somebody does; how long to pause after it, in seconds."""
        if time.monotonic() - self.looked > LOOK_EVERY_S:
            self.restore_mix()
        if time.monotonic() - self.looked_at_duties > ROUNDS_EVERY_S:
            self.look_at_duties()
        count = len(self.open)  # an incident takes about eight events from report to closing
        share_of_reports = 0.6 if count < FEW else 0.13 if count < USUAL else 0.03 if count < MANY else 0.0
        if due := [id_ for id_, planned in self.rounds.items() if planned.arrival <= self._ms()]:
            self.say_of_a_duty(due[0])
        elif self.rng.random() < 0.03 and self.recent:
            self._publish([self.rng.choice(self.recent)], 1)  # an app that heard no answer sends again
        elif self.rng.random() < share_of_reports:
            script = draw(self.locality, self.rng, self.locality.categories)
            script.found()
            planned, at = script.events[0], self._ms()
            if script.source not in FINDERS and self.rng.random() < 0.35:
                planned.data["deadline"] = Later(self.rng.uniform(1, 10))  # minutes, so that deadlines fall due
            elif script.source == "patrol" and self.rng.random() < 0.08:
                at -= self.rng.randint(5, 90) * 60_000  # the phone had no network until now
            subject = mint(self.locality.policy.home(script.leaf), at, self.rng)
            self._publish_one(planned, subject, at, script.state)
        else:
            self._move()
        return self.rng.uniform(0.5, 1.5) / self.rate

    # ---- patrols and rounds ----------------------------------------------------------------------------------

    def look_at_duties(self) -> None:
        """See what is owed today, and what of yesterday may still be told, and plan what is said of it."""
        self.looked_at_duties, now = time.monotonic(), self._ms()
        policy, found = self.locality.policy, dict[str, PlannedRecord]()
        days = policy.clock_of_days
        for day in (days.local_day(now - DAY), days.local_day(now)):
            page: dict[str, Any] = {"next": ""}
            while page["next"] is not None:
                page = self.server.get("/v1/duties", grid=policy.root, day=day, limit=500, cursor=page["next"])
                for line in page["duties"]:
                    planned = live_plan(self.locality, line, now)
                    if planned is not None:
                        id_ = f"{planned.subject}-{line['recorded']}-{days.local_day(planned.at)}"
                        found[id_] = self.rounds.get(id_, planned)
        self.rounds = {id_: planned for id_, planned in found.items() if id_ not in self.recorded}
        self.recorded &= found.keys()

    def say_of_a_duty(self, id_: str) -> None:
        """Say what was planned."""
        planned = self.rounds.pop(id_)
        self.recorded.add(id_)
        event = self.writer.event(planned.planned, planned.subject, id_, planned.at)
        self.photos.take(event)
        self._publish([event], 1)

    # ---- the mix -------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See what stands open, the oldest first."""
        lines = self.server.get("/v1/incidents", limit=500, sort="opened_at")["incidents"]
        self.open = {line["id"]: line for line in lines}
        self.left &= set(self.open)
        self.looked = time.monotonic()

    def restore_mix(self, fresh: bool = False) -> None:
        """Drive new incidents to where none stands; `fresh` reports one in any case."""
        for _ in range(3):
            self.look()
            states = Counter(line["state"] for line in self.open.values())
            scripts = [self._drive_to(state) for state in MAIN_LINE if not states[state]]
            if fresh:
                scripts.append(self._drive_to("reported"))
            if not any(line["overdue"] for line in self.open.values()):
                scripts.append(self._drive_to("reported", "hotline", deadline=Later(1.5 / 60)))
            if not scripts:
                return
            at, events = self._ms(), list[dict[str, Any]]()
            total = sum(len(script.events) for script in scripts)
            for script in scripts:
                subject = mint(self.locality.policy.home(script.leaf), at, self.rng)
                for planned in script.events:  # all at once, each a little after the one before it
                    events.append(self._event(planned, subject, at - total + len(events)))
            self._publish(events, 3)
            fresh = False
            time.sleep(0.1)

    def _drive_to(self, state: str, source: str = "", **extra: Any) -> IncidentScript:
        """A new incident that has come as far as a state, all in one breath; where it comes from, if that matters."""
        script = fit_for(self.locality, self.rng, state, source=source)
        for _ in main_line(script):
            if script.state == state:
                break
        script.events[0].data.update(extra)
        return script

    # ---- one event -----------------------------------------------------------------------------------------

    def _move(self) -> None:
        """Somebody moves an incident on, or says something beside it: often one that waits long, never the last of its
        state or one of the last late ones."""
        states = Counter(line["state"] for line in self.open.values())
        late = sum(line["overdue"] for line in self.open.values())
        crowded = len(self.open) > USUAL

        def may_go(line: dict[str, Any]) -> bool:
            needed = (line["state"] in MAIN_LINE and states[line["state"]] < 2) or (line["overdue"] and late < 3)
            asleep = not crowded and not zlib.crc32(line["id"].encode()) % SLEEPERS
            return not needed and not asleep and line["id"] not in self.left | self.left_to_phone

        free = [line for line in self.open.values() if may_go(line)]
        if not free:
            return
        line = self.rng.choice(free if self.rng.random() < 0.6 else free[: len(free) // 4 + 1])
        answer = self.server.get(f"/v1/incidents/{line['id']}")
        script = revive(self.locality, self.rng, answer)
        if script is None or not answer["open"]:
            self.left.add(line["id"])
            return
        try:
            beside(script, answer) if self.rng.random() < 0.08 else advance(script, answer)
        except LookupError as error:
            log.info("%s stays in %s: %s", line["id"], script.state, error)
            self.left.add(line["id"])
            return
        if not self._publish_one(script.events[-1], line["id"], self._ms(), script.state):
            self.left.add(line["id"])

    def _publish_one(self, planned: PlannedEvent, subject: str, at: int, state: str) -> bool:
        """Publish one event, after which its incident stands in `state` until the next look. Whether it was taken."""
        event = self._event(planned, subject, at)
        taken = self._publish([event], 1)
        self.recent.append(event)
        if taken:
            self.open.pop(subject, None)
            if state in OPEN:
                self.open[subject] = {"id": subject, "state": state, "overdue": False}
        return taken

    def _event(self, planned: PlannedEvent, subject: str, at: int) -> dict[str, Any]:
        self.count += 1
        event = self.writer.event(planned, subject, f"live-{self._ms():x}-{self.count:.0f}", at)
        self.photos.take(event)
        return event

    def _publish(self, events: list[dict[str, Any]], wait_s: int) -> bool:
        """Whether all of these were taken; what was not is logged with its reason."""
        answers = self.server.publish(json.dumps(events, ensure_ascii=False).encode(), wait_s)
        all_taken = True
        for event, answer in zip(events, answers, strict=True):
            if answer.get("outcome", answer["status"]) in ("refused", "conflict", "rejected"):
                all_taken = False
                reason = answer.get("detail") or answer.get("reason")
                log.warning("%s by %s on %s: %s", event["type"], event["actor"], event["subject"], reason)
        return all_taken

    def _ms(self) -> int:
        return round(self.now() * 1000)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the traffic as a process of its own until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m gridpatrol.demo.traffic", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8420", help="the server's address")
    parser.add_argument("--pack", required=True, type=Path, help="the folder of the pack that is active there")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another city life")
    parser.add_argument("--rate", type=float, default=1.0, help="events per second")
    parser.add_argument("--phone", type=Path, metavar="FILE", help="the token of a grid member that has a phone")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="demo traffic: %(message)s")
    try:
        token = os.environ.get("GRIDPATROL_TOKEN", "").strip()
        traffic = Traffic(given.url, given.pack, given.seed, now=time.time, rate=given.rate, token=token)
        run_until_signal(traffic, phone_of(given.phone, traffic, given.seed) if given.phone else None)
    except (ServerAway, PackError, ValueError, OSError) as error:
        print(f"demo traffic: {error}", file=sys.stderr)
        return 1
    return 0


def phone_of(file: Path, traffic: Traffic, seed: int) -> Phone:
    """A phone with the token of a file, whose cases the traffic leaves to it."""
    server = Server(traffic.server.url, timeout_s=10, token=file.read_text(encoding="utf-8").strip())
    phone = Phone(server, traffic.locality, Random(f"{seed}:phone"), traffic.now, time.monotonic)
    traffic.left_to_phone = phone.busy_with
    return phone


def run_until_signal(traffic: Traffic, phone: Phone | None = None) -> None:
    """Run on threads of their own: a signal's handler must not take a lock that the interrupted code holds."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.append(number))
    stop, failed = threading.Event(), list[Exception]()

    def work() -> None:
        try:
            traffic.run(stop)
        except Exception as error:
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    if phone is not None:  # it waits for nobody, and nobody for it
        threading.Thread(target=phone.run, args=(stop,), daemon=True).start()
    while worker.is_alive():
        worker.join(0.1)
        if asked:
            stop.set()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    sys.exit(main())
