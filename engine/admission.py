"""The way into the log: the bytes of an event become a record, or a refusal that says why not.

The record is sealed: identity, contact and free text are taken out of the event, and a token is left. What comes over
HTTP or Kafka is admitted for a principal (`admit`). `gridpatrol publish` and the replay of a file write to the database
themselves and ask for no principal (`receive`).
"""

import hashlib
import secrets

import msgspec

from engine.inbox import Submission
from engine.principals import OURS, Principal, check
from engine.store.dead_letters import DeadLetter, dead_letter
from engine.store.rows import SealedRow
from schemas import binary, digests, sealing
from schemas.envelope import BOM, Envelope, Record, decode_envelope, decode_sent, encode_record
from schemas.members import EventData
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal


def receive(
    raw: bytes, principal: str, partitions: int, parked: int | None = None
) -> tuple[Submission, Envelope] | Refusal:
    """Check the shape, seal, and address to its partition. The rules decide on it later, when its record is read.

    `parked`: how many events of the principal may wait in the home, 0 for no limit; None: they are not counted as its.
    """
    raw = raw.removeprefix(BOM)
    envelope = decode_envelope(raw)
    if isinstance(envelope, Refusal):
        return envelope
    document = msgspec.json.decode(raw)
    sent = digest = digests.as_sent(document)
    if document.get(binary.BASE64) is not None:
        plain = binary.with_data(document)
        if isinstance(plain, Refusal):
            return plain
        envelope, document = decode_envelope(plain), msgspec.json.decode(plain)
        if isinstance(envelope, Refusal):
            return envelope
        digest = digests.as_sent(document)
    elif binary.BASE64 in document:
        del document[binary.BASE64]  # null is absent
        digest = digests.as_sent(document)
    data = decode_sent(envelope)
    if isinstance(data, Refusal):
        return data
    said = document.get("data")
    meaning = digests.meaning(envelope, {} if said is None else said)
    kept, hidden = sealing.split(document)
    event = msgspec.convert(kept | {"data": msgspec.Raw(msgspec.json.encode(kept["data"]))}, Envelope)
    home = home_of(event.subject)
    if event.partitionkey not in (None, home):
        return Refusal(Reason.MISROUTED, "partitionkey", "must be the home of the subject: leave it out, or send that")
    sealed, unknown = None, tuple[str, ...]()
    if hidden:
        unknown = tuple(sealing.unknown(event.type, hidden))
        # A resend gets the same token, other content another one; the token itself tells nothing.
        token = hashlib.sha256(f"{event.source}\n{event.id}\n{digest}".encode()).hexdigest()[:32]
        sealed = SealedRow(token, msgspec.json.encode(hidden).decode(), event.subject)
    # Releases that did not know `data_base64` took the digest with it.
    forms = (meaning,) if sent == digest else (meaning, sent)
    record = Record(
        event=event,
        digest=digest,
        token=sealed.token if sealed else "",
        digests=forms,
        principal=principal if parked is not None else "",
        parked=parked or 0,
        measured=data.measured,
        seed=seed_for(data, principal, digest),
    )
    partition = partition_of(home, partitions)
    return Submission(partition, "event", principal, encode_record(record).decode(), sealed, unknown), event


def seed_for(data: EventData, principal: str, digest: str) -> str:
    """32 bytes in hex, by which a lot falls: nobody knows them before. A file of events that is replayed gets the same
    ones each time, by what the event says: its draws are none."""
    if not data.asks_for_bytes:
        return ""
    return hashlib.sha256(digest.encode()).hexdigest() if principal == "replay" else secrets.token_hex(32)


def admit(raw: bytes, principal: Principal, partitions: int) -> tuple[Submission, Envelope] | Refusal:
    """`receive`, for a principal that may speak for some posts only and whose events wait up to its quota."""
    parked = None if principal.name in OURS else principal.quota.parked
    received = receive(raw, principal.name, partitions, parked)
    if isinstance(received, Refusal):
        return received
    return check(principal, received[1]) or received


def letter_id(raw: bytes, principal: str) -> str:
    """The id of a dead letter that never had a position: the same bytes of the same principal are kept once."""
    return f"door-{hashlib.sha256(principal.encode() + b' ' + raw).hexdigest()[:32]}"


def letter(raw: bytes, refusal: Refusal, principal: str, at: int, id_: str) -> DeadLetter:
    """The dead letter of bytes that were refused before they had a position: with as much of the event's names as can
    be read out of them."""
    try:
        event = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = {}
    event = event if isinstance(event, dict) else {}
    return dead_letter(
        id_,
        at,
        Refusal(refusal.reason, refusal.field, _storable(refusal.detail)),
        principal,
        _storable(raw.decode("utf-8", "backslashreplace")),
        source=_storable(event.get("source")),
        event_id=_storable(event.get("id")),
        type_=_storable(event.get("type")),
        case_id=_storable(event.get("subject")),
    )


def _storable(value: object) -> str:
    """A text as every store takes it; empty for any other value."""
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\u0000")
