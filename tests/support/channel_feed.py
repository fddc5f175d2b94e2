"""A feed written line by line, a channel of a file, and a clock that stands until somebody moves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from consumers.channels.message import Message
from consumers.channels.outcome import Outcome
from consumers.channels.sender import ChannelSender
from consumers.channels.settings import Channel, ChannelFile, read_channels
from engine.metrics.counters import Counters
from engine.store import alerts, channels
from engine.store.alerts import DeliveryRow
from engine.store.channels import Told
from engine.store.database import Database
from schemas.messages import Line, encode_line
from tests.support.builders import subject
from tests.support.serving import prepared

CHIEF, SPONSOR = "WY03-CHIEF", "WY03-SPONSOR"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@contextmanager
def database_with_pack(url: str) -> Iterator[Database]:
    """A database whose active pack is the sample."""
    with prepared(url) as engine:
        yield engine.database


def channel_file(folder: Path, text: str) -> Path:
    """A file of channels beside a secret of a webhook."""
    secret, file = folder / "secret", folder / "channels.toml"
    secret.write_text(SECRET + "\n", encoding="utf-8")
    secret.chmod(0o600)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)
    return file


def one_channel(folder: Path, route: str = "", channel: str = "") -> ChannelFile:
    """The channel `hook` and a route that leads to it."""
    text = f"""
        base_url = "https://grid.example"
        [channel.hook]
        kind = "webhook"
        url = "https://hook.example/x"
        secret_file = "secret"
        {channel}
        [[route]]
        channels = ["hook"]
        {route}
        """
    return read_channels(str(channel_file(folder, text)))


def alert(
    number: int,
    what: str = "firing",
    *,
    case: int = 1,
    clock: str = "accept",
    rung: str = "due",
    repeat: int = 0,
    due: int = 0,
    due_at: int | None = None,
    to: tuple[str, ...] = (CHIEF,),
    path: str = "/XA/WY/WY03/WY03-01/",
    by: str = "",
    **more: Any,
) -> tuple[int, Line]:
    """A line of the feed that tells of an alert."""
    id_ = subject("WY03", case)
    name = f"{id_}|{clock}.3|0|0|{rung}|{repeat}"
    delivery = f"{name}|{what}" + (f"|{by}" if what == "acknowledged" else "")
    line = Line(
        id=delivery,
        alert=name,
        what=what,
        case=id_,
        kind=rung,
        clock=clock,
        level=3,
        path=path,
        category="D3-04",
        recipients={} if what == "acknowledged" else {post: f"{delivery}|{post}" for post in to},
        due_at=due if due_at is None else due_at,
        raised_at=due,
        due=due,
        by=by,
        definition="incident",
        **more,
    )
    return number, line


def notice(number: int, move: str = "assigned", *, case: int = 1, to: tuple[str, ...] = (CHIEF,)) -> tuple[int, Line]:
    """A line of the feed that tells of a move."""
    id_ = subject("WY03", case)
    name = f"{id_}|{move}|2"
    line = Line(
        id=f"{name}|told",
        alert=name,
        what="told",
        case=id_,
        kind="notice",
        clock="",
        level=0,
        path="/XA/WY/WY03/WY03-01/",
        category="D3-04",
        recipients={post: f"{name}|told|{post}" for post in to},
        due_at=0,
        raised_at=0,
        definition="incident",
        on=move,
    )
    return number, line


def feed(database: Database, told_at: int, *lines: tuple[int, Line]) -> None:
    """Let the feed have told these lines at an instant."""
    rows = [
        DeliveryRow(
            number,
            line.alert,
            line.what,
            line.definition,
            line.path,
            "feed",
            msgspec.json.encode(list(line.recipients)).decode(),
            "a test",
            told_at,
            encode_line(line).decode(),
        )
        for number, line in lines
    ]
    with database.begin() as connection:
        alerts.write(connection, [], rows)


class Receiver:
    """The other side of a channel, in memory: what it was sent, and what it answers."""

    def __init__(self, database: Database, config: ChannelFile, name: str = "hook", at: int = 0) -> None:
        self.now, self.sent, self.tried_at = at, list[Message](), list[int]()
        self.answers: list[Outcome] = []  # the next ones; then all is taken
        self.counters = Counters()
        self.database, self.config, self.name = database, config, name
        self.begin()

    def begin(self) -> None:
        """Another process takes over."""
        channel = self.config.channels[self.name]
        self.sender = ChannelSender(
            self.database, self.config, channel, self.counters, lambda: self.now, self._answer, lots=lambda: 1.0
        )

    def _answer(self, channel: Channel, message: Message, now: int) -> Outcome:
        self.tried_at.append(now)
        outcome = self.answers.pop(0) if self.answers else Outcome("sent", "taken")
        if outcome.result == "sent":
            self.sent.append(message)
        return outcome

    def until(self, instant: int | None = None) -> list[Message]:
        """Let the sender do all that there is to do at an instant; the messages that were taken by it."""
        self.now = max(self.now, instant or 0)
        before = len(self.sent)
        while not self.sender.run_once():
            pass
        return self.sent[before:]

    def lines(self) -> list[Told]:
        """What the channel has and had to tell, in the order of the feed."""
        with self.database.read() as connection:
            found = channels.listed(connection, channel=self.name, limit=10_000)
        return sorted(found, key=lambda told: (told.line.number, told.line.id))

    def statuses(self) -> list[str]:
        """How each of them stands."""
        return [told.line.status for told in self.lines()]
