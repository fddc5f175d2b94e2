"""The phone of one grid member in a demo: it has a token of its own, and knows what the door tells that token.

1. `GET /v1/me` says whose phone it is, `GET /v1/pack` what may be chosen, `GET /v1/tasks` what waits for its post.
2. It reports what its member finds, with a photo and some words, while little waits: who tries the demo as this member
   always finds work.
3. Of what it has reported it does the first thing that its tasks allow, and leaves everything else to others.
"""

import json
import logging
import threading
from collections.abc import Callable
from random import Random
from typing import Any

from gridpatrol.client import Refused, Server, ServerAway
from gridpatrol.demo.events import CloudEventWriter, mint
from gridpatrol.demo.hours import Gap
from gridpatrol.demo.incident_script import IncidentScript, PlannedEvent
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.photos import Photos

log = logging.getLogger(__name__)

EVERY_S = 4.0
"""How often it is taken out of the pocket."""
ENOUGH = 3
"""So many cases wait for whoever tries the demo as this member."""
UNKNOWN = (401, 403)
"""Statuses of a token that has ended, or may not do this any more."""


class Phone:
    """One installation of an app. `now`: seconds since 1970 UTC; `clock`: seconds that only grow."""

    def __init__(
        self, server: Server, locality: Locality, rng: Random, now: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self.server, self.locality, self.rng, self.now = server, locality, rng, now
        self.photos = Photos(server, rng, clock)
        self.writer = CloudEventWriter(locality, "/demo/phone")
        self.busy_with: set[str] = set()
        """Cases that it has reported and is at work on. Nobody else of the demo moves them."""
        self.me: dict[str, Any] = {}
        self.choices: dict[str, dict[str, list[str]]] = {}
        self.count = 0

    def run(self, stop: threading.Event) -> None:
        """Live until told to stop, or until the token is known no more."""
        pause_s = 0.0
        while not stop.wait(pause_s):
            pause_s = EVERY_S
            try:
                if self.look():
                    pause_s = 0.2
            except ServerAway:
                self.me = {}  # the server that comes back may have another pack
            except Refused as refused:
                if refused.status in UNKNOWN:
                    log.warning("the phone of the grid member is silent from now on: %s", refused.message)
                    return
                log.info("the phone was answered %d: %s", refused.status, refused)

    def look(self) -> bool:
        """See what waits, and do one thing about it. Whether too little waited."""
        if not self.me:
            self.me = self.server.get("/v1/me")["posts"][0]
            self.choices = self.server.get("/v1/pack")["choices"]
        cases = [task for task in self.server.get("/v1/tasks", post=self.me["code"])["tasks"] if not task["duty"]]
        self.busy_with &= {task["id"] for task in cases}
        mine = [task for task in cases if task["id"] in self.busy_with]
        if len(cases) < ENOUGH:
            self.report()
            return True
        if mine and (len(cases) > ENOUGH or self.rng.random() < 0.1):
            self.work(mine[0])
        return False

    def report(self) -> None:
        """Report a problem of the kind that is talked over on the spot first."""
        grid = self.me["grid"]["code"]
        category = self.rng.choice([each for each in self.locality.categories if each.dissuade])
        script = IncidentScript(self.locality, self.rng, category, grid)
        script.found(grid=grid)
        planned = script.events[0]
        planned.actor = self.me["code"]
        subject = mint(self.me["home"], round(self.now() * 1000), self.rng)
        self.busy_with.add(subject)
        self.say(planned, subject)

    def work(self, task: dict[str, Any]) -> None:
        """Do the first thing that does this task, choosing among what may be chosen."""
        event = next(each for each in task["allowed"] if each["works"])
        data = {name: self.rng.choice(values) for name, values in self.choices.get(event["type"], {}).items()}
        self.say(PlannedEvent(event["trigger"], self.me["code"], data, Gap(0)), task["id"])

    def say(self, planned: PlannedEvent, subject: str) -> None:
        """Publish one event, and its photo before it."""
        at = round(self.now() * 1000)
        self.count += 1
        event = self.writer.event(planned, subject, f"phone-{at:x}-{self.count}", at)
        self.photos.take(event)
        answer = self.server.publish(json.dumps([event], ensure_ascii=False).encode(), 3)[0]
        if answer.get("outcome", answer["status"]) != "done":
            log.info("what the phone said of %s: %s", subject, answer)
            self.busy_with.discard(subject)
