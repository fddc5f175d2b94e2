"""A request by a template, as gateways of SMS take: placeholders in url, headers and body.

What is filled in is escaped as its place needs: in the url and in a form as a query is, in JSON as its texts are, in
XML as its texts are. In headers a line break becomes a blank.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import msgspec

from consumers.channels.http_request import Answer, ask
from consumers.channels.message import Message, in_language, plain_text
from consumers.channels.outcome import Outcome, of_status
from consumers.channels.settings import PLACEHOLDER, Channel

Escape = Callable[[str], str]
TEXT_BYTES = 2000
"""Of the lines of a message, which gateways cut or bill by length; the subject alone is `{subject}`."""


def send(channel: Channel, message: Message, now_ms: int) -> Outcome:
    """Send it to the address of the post, or of everyone."""
    addresses = channel.to.get(message.recipient, channel.everyone)
    if not addresses and "{to}" in channel.url.reveal() + channel.body:
        return Outcome("refused", "the file of channels has no address for this post", whole=False)
    values = {
        "to": addresses[0] if addresses else "",
        "post": message.recipient,
        "subject": in_language(message.subject, channel.language),
        "text": plain_text(message, channel.language, TEXT_BYTES),
        "link": message.link,
        "id": message.id,
        "secret": channel.secret.reveal(),
    }
    headers = {name: _on_the_wire(filled(text, values, _in_header)) for name, text in channel.headers.items()}
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    if channel.body and not kind:
        headers["Content-Type"] = kind = "application/json" if channel.body.lstrip()[:1] in "[{" else FORM
    answer = ask(
        channel.method,
        filled(channel.url.reveal(), values, _in_query),
        headers,
        filled(channel.body, values, escape_of(kind)).encode(),
        private=channel.private,
        ca=channel.ca,
        timeout_s=channel.timeout_s,
    )
    return outcome_of(channel, answer, now_ms)


def outcome_of(channel: Channel, answer: Answer, now_ms: int) -> Outcome:
    """A status of success, and in the answer what the channel says that success has."""
    plain = of_status(answer, now_ms)
    if plain.result != "sent" or not channel.success:
        return plain
    try:
        said: Any = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return plain._replace(result="again", words="its answer is no JSON")
    for path, wanted in channel.success.items():
        found = said
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        text = found if isinstance(found, str) else json.dumps(found)
        if text != wanted:
            return plain._replace(
                result="again", words=f"its answer does not say success: {path} is not as it should be"
            )
    return plain


FORM = "application/x-www-form-urlencoded"


def escape_of(content_type: str) -> Escape:
    """How a text is written in a body of this kind."""
    if "json" in content_type:
        return lambda text: json.dumps(text, ensure_ascii=False)[1:-1]
    if "xml" in content_type:
        return escape
    return _in_query if "form-urlencoded" in content_type else str


def filled(template: str, values: dict[str, str], escaped: Escape) -> str:
    """A template with its placeholders filled in, once: what is filled in is none."""
    return PLACEHOLDER.sub(lambda found: escaped(values[found[1]]) if found[1] in values else found[0], template)


def _in_query(text: str) -> str:
    return quote(text, safe="")


def _in_header(text: str) -> str:
    return " ".join(text.split())


def _on_the_wire(text: str) -> str:
    """A header as UTF-8: the client writes each character as the byte of its number."""
    return text.encode().decode("latin-1")
