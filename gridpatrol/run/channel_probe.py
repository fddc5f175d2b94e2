"""What the pages of a server know of its channels, and how an operator tries one from there.

The file is read anew each time it is asked for, so the pages show what a running sender takes up within a second.
"""

from consumers.channels.kinds import send
from consumers.channels.settings import ChannelFile, read_channels
from consumers.channels.trial import example
from engine.clock import now_ms
from engine.errors import SettingsError
from engine.views.channel_desk import ChannelKnown, ChannelTrial


class FileProbe:
    """The channels of the file of the settings; empty: there is none."""

    def __init__(self, path: str) -> None:
        self.path = path

    def known(self) -> tuple[ChannelKnown, ...]:
        """The channels of the file. SettingsError where it cannot be used."""
        config = read_channels(self.path) if self.path else ChannelFile()
        return tuple(
            ChannelKnown(
                name=each.name,
                kind=each.kind,
                leads_to=each.where,
                posts=tuple(each.to),
                routes=tuple(route.name for route in config.routes if each.name in route.channels),
            )
            for each in config.channels.values()
        )

    def attempt(self, name: str, post: str) -> ChannelTrial:
        """Send a test message. What the other side says is not told: it may quote what was sent. SettingsError for a
        channel that the file does not have."""
        config = read_channels(self.path) if self.path else ChannelFile()
        channel = config.channels.get(name)
        if channel is None:
            raise SettingsError("the file of channels has no channel of this name")
        if channel.to and post not in channel.to:
            post = next(iter(channel.to))
        outcome = send(channel, example(channel, config, post), now_ms())
        return ChannelTrial(name, outcome.result == "sent", outcome.words)
