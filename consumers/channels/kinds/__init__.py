"""The kinds of channel: how each writes a message, and what its answers mean."""

from consumers.channels.kinds import mail, robots, template, webhook
from consumers.channels.message import Message
from consumers.channels.outcome import Outcome
from consumers.channels.settings import ROBOTS, Channel
from engine.addresses import AddressRefused, ChannelAway


def send(channel: Channel, message: Message, now_ms: int) -> Outcome:
    """Send a message; it takes as long as the other side lets it, up to a few times the timeout."""
    try:
        if channel.kind in ROBOTS:
            return robots.send(channel, message, now_ms)
        if channel.kind == "smtp":
            return mail.send(channel, message, now_ms)
        if channel.kind == "http":
            return template.send(channel, message, now_ms)
        return webhook.send(channel, message, now_ms)
    except (ChannelAway, AddressRefused) as error:
        return Outcome("again", str(error))
