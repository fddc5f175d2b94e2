"""Channels (渠道) for who operates the server: how each stands, and what it has not delivered lately.

What a channel is, and how one tries it, is known to the process that has the file of channels: it gives the door a
`ChannelProbe`. Without one the door tells what the tables have.
"""

from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from engine.policies import Policies
from engine.store import channels, subscriptions
from engine.store.channels import ChannelState
from engine.store.database import Connection
from engine.views.channel_lines import ChannelLineShown, ChannelQuestion, channel_page
from engine.views.names import active_names

LATELY = 30
"""Lines that were given up which are shown at most."""


class ChannelKnown(Struct, frozen=True):
    """A channel as its file has it, without secrets and addresses. `posts` have an address of their own there."""

    name: str
    kind: str
    leads_to: str
    posts: tuple[str, ...]
    routes: tuple[str, ...]


class ChannelTrial(Struct, frozen=True):
    """What came of a test message: whether the other side has taken it, and what that means in words."""

    name: str
    sent: bool
    words: str


class ChannelProbe(Protocol):
    """What a process knows of its channels, and how it tries one."""

    def known(self) -> tuple[ChannelKnown, ...]:
        """The channels of the file, in its order. Raises GridpatrolError for a file that cannot be used."""

    def attempt(self, name: str, post: str) -> ChannelTrial:
        """Send a test message by a channel, to the address of a post where it has several. Raises GridpatrolError for
        a channel that there is not."""


class ChannelLineOf(Struct, frozen=True, kw_only=True):
    """How a channel or a subscription stands. `whose`: the principal of a subscription."""

    state: ChannelState
    known: ChannelKnown | None
    whose: str
    leads_to: str
    due_at: str | None
    tried_at: str | None


class ChannelDesk(Struct, frozen=True, kw_only=True):
    """The answer: all channels, and the lines that were given up last."""

    lines: list[ChannelLineOf]
    failed: list[ChannelLineShown]
    as_of: str
    zone: str

    @property
    def stuck(self) -> int:
        """Channels with something that they have given up."""
        return sum(bool(line.state.given_up) for line in self.lines)

    @property
    def waiting(self) -> int:
        """Lines and messages that wait."""
        return sum(line.state.waiting + line.state.sending for line in self.lines)


def channel_desk(connection: Connection, policies: Policies, known: tuple[ChannelKnown, ...], now: int) -> ChannelDesk:
    """How the channels stand. Raises NoActivePack."""
    names, by_name = active_names(connection, policies), {each.name: each for each in known}
    subscribed = subscriptions.listed(connection)
    states = channels.states(connection, list(by_name))
    states += channels.states_of(connection, [row.id for row in subscribed])
    rows = {row.id: row for row in subscribed}
    lines = []
    for state in states:
        row, found = rows.get(state.channel), by_name.get(state.channel)
        lines.append(
            ChannelLineOf(
                state=state,
                known=found,
                whose=f"{row.principal}: {row.name}" if row is not None else "",
                leads_to=(urlsplit(row.url).hostname or "") if row is not None else found.leads_to if found else "",
                due_at=names.maybe(state.due_at),
                tried_at=names.maybe(state.tried_at),
            )
        )
    question = ChannelQuestion(status="given_up", limit=LATELY)
    failed = channel_page(connection, policies, question, now).deliveries
    return ChannelDesk(lines=lines, failed=failed, as_of=names.instant(now), zone=names.register.pack.zone)
