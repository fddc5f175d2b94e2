"""The way into the log: what was sent becomes a record, or an answer that says why not.

In: the bytes of one event and the principal that sent them. Out: a `Submission` whose event is sealed (identity,
contact and free text moved out, a token left), or a `Refusal`. Whoever has to say who he is comes in by `admit`, over
HTTP or over Kafka; `publish` and the replay of a file, which hold the database in their hands, by `receive`.
"""

import hashlib

import msgspec

from engine.inbox import Submission
from engine.principals import Principal, check
from engine.store.rows import LetterRow, SealedRow
from schemas import sealing
from schemas.envelope import Envelope, Record, decode_data, decode_envelope, encode_record
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal


def receive(raw: bytes, principal: str, partitions: int) -> tuple[Submission, Envelope] | Refusal:
    """Check the shape, seal, and address to its partition. Whether the rules take it is decided in the log."""
    envelope = decode_envelope(raw)
    if isinstance(envelope, Refusal):
        return envelope
    sent = msgspec.json.decode(raw)
    digest = sealing.digest(sent)
    kept, hidden = sealing.split(sent)
    event = msgspec.convert(kept | {"data": msgspec.Raw(msgspec.json.encode(kept["data"]))}, Envelope)
    said = decode_data(event)
    if isinstance(said, Refusal):
        return said
    home = home_of(event.subject)
    if event.partitionkey not in (None, home):
        return Refusal(Reason.MISROUTED, "partitionkey", f"must be the home of the subject, {home!r}")
    sealed = None
    if hidden:
        sealed = SealedRow(_token(event, digest), msgspec.json.encode(hidden).decode(), event.subject)
    record = Record(event=event, digest=digest, token=sealed.token if sealed else "")
    partition = partition_of(home, partitions)
    return Submission(partition, "event", principal, encode_record(record).decode(), sealed), event


def admit(raw: bytes, principal: Principal, partitions: int) -> tuple[Submission, Envelope] | Refusal:
    """`receive`, for a principal that may speak for some posts only."""
    received = receive(raw, principal.name, partitions)
    if isinstance(received, Refusal):
        return received
    return check(principal, received[1]) or received


def letter_id(raw: bytes, principal: str) -> str:
    """The id of a letter that never had a position: the same bytes of the same principal are kept once."""
    return f"door-{hashlib.sha256(principal.encode() + b' ' + raw).hexdigest()[:32]}"


def _token(event: Envelope, digest: str) -> str:
    """A token for what was sealed: the same for a resend, another for other content; it says nothing."""
    return hashlib.sha256(f"{event.source}\n{event.id}\n{digest}".encode()).hexdigest()[:32]


def letter(raw: bytes, refusal: Refusal, principal: str, at: int, id_: str) -> tuple[LetterRow, SealedRow]:
    """What was refused by its shape, kept with its bytes: a dead letter that never had a position."""
    try:
        sent = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        sent = {}
    sent = sent if isinstance(sent, dict) else {}
    named = {name: _storable(sent.get(name)) for name in ("source", "id", "type", "subject")}
    row = LetterRow(
        id_,
        at,
        None,
        None,
        refusal.reason,
        refusal.field,
        _storable(refusal.detail),
        named["source"],
        named["id"],
        named["type"],
        named["subject"],
        principal,
        f"letter:{id_}",
    )
    return row, SealedRow(row.token, _storable(raw.decode("utf-8", "backslashreplace")), row.case_id)


def _storable(value: object) -> str:
    """Text that every store takes; other values are left empty."""
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\u0000")
