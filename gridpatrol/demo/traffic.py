"""Live traffic: people of the sample city, speaking to a running server over HTTP.

In: the address of a server, a pack folder read as plain data, a seed; a token in GRIDPATROL_TOKEN, where the server
asks who speaks. Out: about one event per second, until told to stop. It sees what everybody sees
(`GET /v1/incidents`) and does what everybody may (`POST /v1/events`).

1. At the start, and again whenever it looks, it restores the mix: incidents in every state of the main line,
   one overdue, one reported since the start; at night, on a holiday and after a week without it as well.
2. Then it moves a share of what stands open on, by posts that may; some incidents it leaves to go overdue.
3. It keeps between 30 and 150 incidents open: few reports while many stand, more while few do.
4. It leaves alone what others have reported.
"""

import argparse
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

from gridpatrol.demo.events import Speech, mint
from gridpatrol.demo.http_client import Answered, Away, Door
from gridpatrol.demo.incident_script import MAIN_LINE, OPEN, Later, Life, Word
from gridpatrol.demo.locality import Town
from gridpatrol.demo.next_step import ORIGIN, advance, beside, revive
from gridpatrol.demo.scenarios import draw, fit_for, main_line

log = logging.getLogger(__name__)

FEW, USUAL, MANY = 40, 110, 140
"""Open incidents: below the first mostly reports come, above the last none."""
LOOK_EVERY_S = 10.0
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
        self.town = Town(pack_folder)
        self.door = Door(base_url, token=token)
        self.speech = Speech(self.town, ORIGIN)
        self.rng = Random(seed)
        self.now, self.rate = now, rate
        self.open: dict[str, dict[str, Any]] = {}  # id -> its line as last seen, with the state as we moved it
        self.left: set[str] = set()  # not ours, or nobody may move them
        self.recent: deque[dict[str, Any]] = deque(maxlen=40)
        self.looked = self.count = 0.0

    # ---- the day -------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, give_up_s: float = 60) -> None:
        """Speak until told to stop; `Away` when no server has answered for so long."""
        threading.Thread(target=self._hang_up_after, args=(stop,), daemon=True).start()
        away_since: float | None = None
        ready = False
        while not stop.is_set():
            try:
                ready = ready or self._begin()
                pause = self._step() if ready else 0.2
                away_since = None
            except Away as error:
                ready, pause = False, 0.3
                away_since = time.monotonic() if away_since is None else away_since
                if time.monotonic() - away_since > give_up_s and not stop.is_set():
                    raise Away(f"no server has answered for {give_up_s:.0f} s ({error})") from error
            except Answered as error:
                log.warning("the server answered %s", error)
                pause = 1.0
            stop.wait(pause)

    def _hang_up_after(self, stop: threading.Event) -> None:
        stop.wait()
        self.door.hang_up()

    def _begin(self) -> bool:
        """Once the server is ready: restore the mix."""
        try:
            self.door.get("/readyz")
        except Answered:
            return False  # it is there, but still busy with its past
        self.restore_mix(fresh=True)
        return True

    def _step(self) -> float:
        """One thing that somebody does; how long to pause after it, in seconds."""
        if time.monotonic() - self.looked > LOOK_EVERY_S:
            self.restore_mix()
        if self.rng.random() < 0.03 and self.recent:
            self.door.post([self.rng.choice(self.recent)], 1)  # an app that heard no answer sends again
        elif self.rng.random() < self._appetite():
            self._report()
        else:
            self._move()
        return self.rng.uniform(0.5, 1.5) / self.rate

    def _appetite(self) -> float:
        """How likely something new is reported: an incident takes about eight events from report to closing."""
        standing = len(self.open)
        return 0.6 if standing < FEW else 0.13 if standing < USUAL else 0.03 if standing < MANY else 0.0

    # ---- the mix -------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See what stands open, the oldest first."""
        lines = self.door.get("/v1/incidents", limit=500, sort="opened_at")["incidents"]
        self.open = {line["id"]: line for line in lines}
        self.left &= set(self.open)
        self.looked = time.monotonic()

    def restore_mix(self, fresh: bool = False) -> None:
        """Drive new incidents to where none stands; `fresh` reports one in any case."""
        for _ in range(3):
            self.look()
            states = Counter(line["state"] for line in self.open.values())
            lives = [self._drive(state) for state in MAIN_LINE if not states[state]]
            if fresh:
                lives.append(self._drive("reported"))
            if not any(line["overdue"] for line in self.open.values()):
                lives.append(self._drive("reported", deadline=Later(1.5 / 60)))
            if not lives:
                return
            self._say_all(lives)
            fresh = False
            time.sleep(0.1)

    def _drive(self, state: str, **extra: Any) -> Life:
        """A new incident that has come as far as a state, all in one breath."""
        life = fit_for(self.town, self.rng, state)
        for _ in main_line(life):
            if life.state == state:
                break
        life.words[0].data.update(extra)
        return life

    def _say_all(self, lives: list[Life]) -> None:
        """Whole lives at once, each event a little after the one before it."""
        at, events = self._ms(), list[dict[str, Any]]()
        total = sum(len(life.words) for life in lives)
        for life in lives:
            subject = mint(self.town.home(life.leaf), at, self.rng)
            for word in life.words:
                events.append(self._event(word, subject, at - total + len(events)))
        self._answers(events, self.door.post(events, 3))

    # ---- one thing said ------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Somebody finds something; some reports carry a deadline of minutes, so that deadlines fall due."""
        life = draw(self.town, self.rng, self.town.categories)
        life.found()
        word, at = life.words[0], self._ms()
        if self.rng.random() < 0.15:
            word.data["deadline"] = Later(self.rng.uniform(1, 10))
        elif life.source == "patrol" and self.rng.random() < 0.08:
            at -= self.rng.randint(5, 90) * 60_000  # the phone had no network until now
        subject = mint(self.town.home(life.leaf), at, self.rng)
        if self._say(word, subject, at):
            self._note(subject, life.state)

    def _move(self) -> None:
        """Somebody moves an incident on, or says something beside it."""
        line = self._chosen()
        if line is None:
            return
        seen = self.door.get(f"/v1/incidents/{line['id']}")
        life = revive(self.town, self.rng, seen)
        if life is None or not seen["open"]:
            self.left.add(line["id"])
            return
        try:
            beside(life, seen) if self.rng.random() < 0.08 else advance(life, seen)
        except LookupError as error:
            log.info("%s stays in %s: %s", line["id"], life.state, error)
            self.left.add(line["id"])
            return
        if self._say(life.words[-1], line["id"], self._ms()):
            self._note(line["id"], life.state)
        else:
            self.left.add(line["id"])

    def _note(self, subject: str, state: str) -> None:
        """Where an incident stands now, until the next look."""
        self.open.pop(subject, None)
        if state in OPEN:
            self.open[subject] = {"id": subject, "state": state, "overdue": False}

    def _chosen(self) -> dict[str, Any] | None:
        """An incident to be moved: often one that waits long, never the last of its state or the last late ones."""
        states = Counter(line["state"] for line in self.open.values())
        late = sum(line["overdue"] for line in self.open.values())
        crowded = len(self.open) > USUAL

        def may_go(line: dict[str, Any]) -> bool:
            needed = (line["state"] in MAIN_LINE and states[line["state"]] < 2) or (line["overdue"] and late < 3)
            asleep = not crowded and not zlib.crc32(line["id"].encode()) % SLEEPERS
            return not needed and not asleep and line["id"] not in self.left

        free = [line for line in self.open.values() if may_go(line)]
        if not free:
            return None
        return self.rng.choice(free if self.rng.random() < 0.6 else free[: len(free) // 4 + 1])

    def _say(self, word: Word, subject: str, at: int) -> bool:
        """Hand in one event; whether it was taken."""
        event = self._event(word, subject, at)
        try:
            answers = self.door.post([event], 1)
        except Answered as error:
            if error.status >= 500:
                raise
            answers = [{"outcome": "refused", "id": event["id"], "detail": str(error)}]
        self.recent.append(event)
        return self._answers([event], answers)

    def _event(self, word: Word, subject: str, at: int) -> dict[str, Any]:
        self.count += 1
        return self.speech.event(word, subject, f"live-{self._ms():x}-{self.count:.0f}", at)

    def _answers(self, events: list[dict[str, Any]], answers: list[dict[str, Any]]) -> bool:
        """Whether all were taken; what was not is told with its reason."""
        no = ("refused", "conflict", "rejected")
        bad = [answer for answer in answers if answer.get("outcome", answer.get("status")) in no]
        for answer in bad:
            event = next((e for e in events if e["id"] == answer.get("id")), events[0])
            why = answer.get("detail") or answer.get("reason")
            log.warning("%s by %s on %s: %s", event["type"], event["actor"], event["subject"], why)
        return not bad

    def _ms(self) -> int:
        return round(self.now() * 1000)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the traffic as a process of its own until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m gridpatrol.demo.traffic", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8420", help="the server's address")
    parser.add_argument("--pack", required=True, type=Path, help="the folder of the pack that is active there")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another city life")
    parser.add_argument("--rate", type=float, default=1.0, help="events per second")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="demo traffic: %(message)s")
    try:
        token = os.environ.get("GRIDPATROL_TOKEN", "").strip()
        traffic = Traffic(given.url, given.pack, given.seed, now=time.time, rate=given.rate, token=token)
        run_until_signal(traffic)
    except (Away, ValueError, OSError) as error:
        print(f"demo traffic: {error}", file=sys.stderr)
        return 1
    return 0


def run_until_signal(traffic: Traffic) -> None:
    """Run on a thread of its own: a signal's handler must not take a lock that the interrupted code holds."""
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
    while worker.is_alive():
        worker.join(0.1)
        if asked:
            stop.set()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    sys.exit(main())
