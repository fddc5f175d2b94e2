"""A phone that is offline half of the time: it keeps what it says, sends it when it can, and learns what became of it.

Standard library alone. Everything that it must not forget stands in one SQLite file, changed in transactions of one
statement or a few, so it may be killed between any two lines: what it then says again has the same ids, and the server
knows that it has it.

    python phone.py --store p.db --url http://127.0.0.1:8000 --actor WY01-01-MEMBER \\
        say report.submitted --data '{"category": "D3-01", "source": "patrol", "grid": "WY01-01"}' --home WY01
    python phone.py --store p.db --url http://127.0.0.1:8000 --actor WY01-01-MEMBER sync
"""

import argparse
import json
import random
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

BATCH = 50
LONGEST_WAIT_S = 300.0
SETTLED = ("done", "refused", "rejected", "conflict")
"""What becomes of an event for good; `parked` and `pending` do not last."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, event TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Offline(Exception):
    """The server cannot be reached, or asks to come again later, after so many seconds (0: it did not say)."""

    def __init__(self, why: str, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Phone:
    """One installation of an app, with a source of its own that stays what it is."""

    def __init__(self, store: str, url: str, actor: str, token: str = "") -> None:
        self.url, self.actor, self.token = url.rstrip("/"), actor, token
        self.db = sqlite3.connect(store)  # `with self.db` is a transaction: all that is changed within, or nothing
        self.db.executescript(SCHEMA)
        with self.db:
            self.db.execute("INSERT OR IGNORE INTO kept VALUES ('source', ?)", [f"phone/{uuid.uuid4()}"])
        self.source = self.kept("source")

    # ---- what it keeps --------------------------------------------------------------------------------------

    def kept(self, name: str) -> str:
        """A value that it keeps; empty: none yet."""
        row = self.db.execute("SELECT value FROM kept WHERE name = ?", [name]).fetchone()
        return row[0] if row else ""

    def say(self, trigger: str, subject: str, data: dict[str, Any], at: datetime | None = None) -> str:
        """Keep an event with its id, its instant and its place in the order, before anything is sent. Its id."""
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": self.source,
            "type": f"gridpatrol.{trigger}.v1",
            "subject": subject,
            "time": (at or datetime.now().astimezone()).isoformat(timespec="milliseconds"),
            "actor": self.actor,
            "data": data,
        }
        with self.db:
            self.db.execute("INSERT INTO outbox (id, event) VALUES (?, ?)", [event["id"], json.dumps(event)])
        return str(event["id"])

    def said(self) -> list[tuple[str, str, str]]:
        """All that it said, in order: (id, outcome, why). An outcome is empty until something is known."""
        return self.db.execute("SELECT id, outcome, why FROM outbox ORDER BY n").fetchall()

    def unsettled(self) -> int:
        """How many events of it are still to be sent, or to be decided."""
        return sum(outcome not in SETTLED for _, outcome, _ in self.said())

    # ---- what it does with a connection ---------------------------------------------------------------------

    def ask(self, path: str, body: list[Any] | None = None, **query: object) -> Any:
        """The answer of the server as JSON. Raises Offline, or HTTPError for what no later try mends."""
        address = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        request = Request(address, None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/cloudevents-batch+json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code in (408, 429) or error.code >= 500:
                seconds = error.headers.get("Retry-After", "")
                raise Offline(f"HTTP {error.code}", float(seconds) if seconds.isdigit() else 0.0) from error
            raise
        except (URLError, OSError, ValueError) as error:  # also an answer that breaks off
            raise Offline(str(error)) from error

    def send(self) -> int:
        """Send what was not sent yet, some of it. How many events that were."""
        rows = self.db.execute("SELECT id, event FROM outbox WHERE NOT sent ORDER BY n LIMIT ?", [BATCH]).fetchall()
        if not rows:
            return 0
        results = self.ask("/v1/events/batch", [json.loads(event) for _, event in rows])["results"]
        with self.db:
            for (id_, _), result in zip(rows, results, strict=True):
                if result["status"] == "rejected":  # it breaks the contract: sent again it would be no better
                    self.settle(id_, "rejected", result)
                self.db.execute("UPDATE outbox SET sent = 1 WHERE id = ?", [id_])
        return len(rows)

    def learn(self) -> None:
        """Ask what became of all that it sent, from where it stands; the place and what it learns are kept together."""
        more = True
        while more:
            page = self.ask("/v1/outcomes", source=self.source, after=self.kept("place"))
            with self.db:
                if page["restarted"]:  # the server was restored, and may have lost what it had: all is sent once more
                    self.db.execute("UPDATE outbox SET sent = 0, outcome = '', why = '' WHERE outcome <> 'rejected'")
                for result in page["outcomes"]:
                    self.settle(result["id"], result["outcome"], result)
                self.db.execute("INSERT OR REPLACE INTO kept VALUES ('place', ?)", [page["next"]])
            more = page["more"]

    def settle(self, id_: str, outcome: str, result: dict[str, Any]) -> None:
        """Keep what became of an event, and why."""
        why = " ".join(str(result[name]) for name in ("reason", "field", "detail") if result.get(name))
        self.db.execute("UPDATE outbox SET outcome = ?, why = ? WHERE id = ?", [outcome, why, id_])

    def sync(self, tries: int = 20, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Send and learn until nothing is open, waiting longer after each try in vain. Whether nothing is open."""
        wait_s = 1.0
        for _ in range(tries):
            pause_s = wait_s
            try:
                while self.send():
                    wait_s = 1.0
                self.learn()
                if not self.unsettled():
                    return True
            except Offline as error:
                pause_s = max(wait_s, error.retry_after_s)
            sleep(pause_s * random.uniform(0.5, 1.5))  # so that a thousand phones do not come back as one
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return False


def new_subject(home: str) -> str:
    """An id for a case of a home, which nobody has to hand out: a UUID of version 7."""
    bits = (time.time_ns() // 10**6) << 80 | 0x7 << 76 | random.getrandbits(76)
    return f"{home}.{uuid.UUID(int=bits & ~(0x3 << 62) | 0x2 << 62)}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="A phone that is offline half of the time.")
    for name in ("--store", "--url", "--actor"):
        parser.add_argument(name, required=True)
    parser.add_argument("--token", default="")
    commands = parser.add_subparsers(dest="command", required=True)
    say = commands.add_parser("say", help="keep an event; of a new case in --home, or of --subject")
    say.add_argument("trigger")
    say.add_argument("--subject")
    say.add_argument("--home", default="")
    say.add_argument("--data", type=json.loads, default={})
    for name in ("sync", "show", "tasks"):
        commands.add_parser(name)
    asked = parser.parse_args()
    phone = Phone(asked.store, asked.url, asked.actor, asked.token)
    if asked.command == "say":
        subject = asked.subject or new_subject(asked.home)
        print(phone.say(asked.trigger, subject, asked.data), subject)
    elif asked.command == "tasks":
        for task in phone.ask("/v1/tasks", post=phone.actor)["tasks"]:
            may = [each["trigger"] for each in task["allowed"] if each["works"]]
            print(task["due_at"] or "-", task["task"]["zh"], task["id"], *may)
    else:
        settled = phone.sync() if asked.command == "sync" else not phone.unsettled()
        for row in phone.said():
            print(*row)
        return 0 if settled else 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
