"""What came of a try to send a message, in plain words: they are kept, and shown to operators."""

from typing import Literal, NamedTuple

from consumers.channels.http_request import Answer, retry_after_s

TOO_MANY = 429
NEVER = {410: "it wants no more messages (410)", 413: "the message is too long for it (413)"}
"""Statuses that no other try changes."""
KNOWN = {
    400: "it did not understand the request (400)",
    401: "it does not know who asks (401): check the secret",
    403: "it does not allow the request (403): check the secret, and what it says of addresses",
    404: "there is nothing at this address (404): check the url",
    429: "it has had too many messages (429)",
    500: "it has failed (500)",
    502: "what stands before it cannot reach it (502)",
    503: "it takes nothing just now (503)",
    504: "what stands before it waited in vain (504)",
}


class Outcome(NamedTuple):
    """`sent`; `again`: another try may do better; `refused`: none will. `wait_s`: how long the other side asks to be
    left alone. `whole`: it is the channel that failed, and not this message. `said`: the other side's own words, for a
    terminal only: they may quote what was sent."""

    result: Literal["sent", "again", "refused"]
    words: str
    wait_s: float | None = None
    whole: bool = True
    said: str = ""


def of_status(answer: Answer, now_ms: int) -> Outcome:
    """What a status of HTTP means."""
    status, wait_s = answer.status, retry_after_s(answer.headers, now_ms)
    said = answer.body[:300].decode("utf-8", "replace")
    if 200 <= status < 300:
        return Outcome("sent", f"taken ({status})", said=said)
    if status in NEVER:
        return Outcome("refused", NEVER[status], whole=False, said=said)
    if 300 <= status < 400:
        words = f"it leads to another address ({status}), which is not followed: write that one into the file"
        return Outcome("again", words, wait_s, said=said)
    return Outcome("again", KNOWN.get(status, f"it answered {status}"), wait_s, said=said)
