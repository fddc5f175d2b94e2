"""Webhooks as Standard Webhooks 1.0.0 says: https://github.com/standard-webhooks/standard-webhooks."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from consumers.channels import signatures
from consumers.channels.http_request import ask
from consumers.channels.message import Message
from consumers.channels.outcome import Outcome, of_status
from consumers.channels.settings import Channel

TYPE = "gridpatrol.alerts.told"
INSTANTS = ("due_at", "due")


def rfc3339(ms: int) -> str:
    """An instant as RFC 3339 writes it, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body_of(message: Message) -> bytes:
    """The payload: what it is, when it was composed, and the lines with their codes and words."""
    lines = []
    for line in message.lines:
        said: dict[str, Any] = msgspec.to_builtins(line)
        lines.append(said | {name: rfc3339(said[name]) for name in INSTANTS if name in said})
    data = {
        "channel": message.channel,
        "subject": msgspec.to_builtins(message.subject),
        "posts": message.posts,
        "count": message.count,
        "lines": lines,
    }
    return msgspec.json.encode({"type": TYPE, "timestamp": rfc3339(message.at), "data": data})


def send(channel: Channel, message: Message, now_ms: int) -> Outcome:
    """POST it. The id is the same each time, the timestamp and the signature are of this try."""
    body, at_s = body_of(message), now_ms // 1000
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signatures.standard_webhook(channel.secret.reveal(), message.id, at_s, body),
    }
    answer = ask(
        "POST",
        channel.url.reveal(),
        headers,
        body,
        private=channel.private,
        ca=channel.ca,
        timeout_s=channel.timeout_s,
    )
    return of_status(answer, now_ms)
