"""Replaying dead letters: an operator's record carries the original, and it is decided anew.

The decision is made under the pack and the case as they are now, but the event has come when it came first: its own
instant is believed within the allowance before that, and else that arrival counts. The store knows it, and nobody's
bytes say it. What was sealed of the original stays sealed.
"""

from contextlib import suppress

import msgspec
from msgspec import Struct

from engine import admission
from engine.errors import GridpatrolError
from engine.inbox import Submission
from engine.people import PrincipalsAndPeople
from engine.principals import LOCAL, OURS, Operator, Principal, Principals, check
from engine.runtime import Engine
from engine.slice.types import PENDING, Answer, keys_of
from engine.store import audit, dead_letters, slices
from engine.store.audit import Act
from engine.store.dead_letters import Letter
from schemas.digests import all_of
from schemas.envelope import decode_data, decode_record, encode_record
from schemas.events import EVENT_TYPES
from schemas.instants import written
from schemas.members import EventData
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal
from workflows.turn import SENT, decode_sent, encode_sent

OPERATOR = "operator"
"""The principal of an operator's records."""
WAITS = "it is in the log: it is decided once its partition goes on"


class Replayed(Struct, frozen=True):
    """What became of a replayed letter: done, parked, refused, duplicate, `released` for a failed firing, or pending:
    in the log, and not decided yet.

    Of a parked one, `waits_for` names the types of events that end its wait, empty where time alone does, and `until`
    is the instant that ends it in vain.
    """

    letter: str
    outcome: str
    reason: str = ""
    field: str = ""
    detail: str = ""
    waits_for: tuple[str, ...] = ()
    until: str = ""


class NotReplayable(GridpatrolError):
    """This letter cannot be replayed."""

    remedy = "Its sender has to send the event again."


def resubmission(letter: Letter, body: str | None, came: int, partitions: int, principals: Principals) -> Submission:
    """The record that replays a letter; NotReplayable. A firing that failed is released: its case's clocks run again.
    What a case said to one of another home is said once more.

    `came`: when the event arrived first (ms), see `read`.

    A letter without a position may have been refused before its sender was checked, so the sender has to be one that
    may speak for the actor now.
    """
    if not letter.token:
        return Submission(partition_of(home_of(letter.case_id), partitions), "release", OPERATOR, letter.case_id)
    if body is None:
        gone = "its bytes are gone, erased or kept for as long as they may be"
        raise NotReplayable(f"letter {letter.id} can no longer be replayed: {gone}")
    if letter.reason == Reason.CONFLICT:
        raise NotReplayable(
            f"letter {letter.id} has the source and id of another event",
            remedy="Its sender has to send it with a new id.",
        )
    if letter.partition is None:
        # Bytes that were refused come in again as they were sent: this release may know their type.
        sender: Principal | None = LOCAL
        if principals.asked and letter.principal not in OURS:
            sender = principals.named(letter.principal)
        if sender is None:
            raise NotReplayable(
                f"letter {letter.id} came from {letter.principal!r}, which is no principal any more",
                remedy="Name it in the file of principals again, or let another send the event.",
            )
        received = admission.receive(body.encode(), OPERATOR, partitions)
        if not isinstance(received, Refusal):
            received = check(sender, received[1]) or received
        if isinstance(received, Refusal):
            where = f" ({received.field})" if received.field else ""
            why = f"{received.reason}{where}: {received.detail}"
            raise NotReplayable(f"letter {letter.id} is still refused: {why}", remedy="")
        submission, _ = received
        record = msgspec.structs.replace(decode_record(submission.body), letter=letter.id, came=came)
        return msgspec.structs.replace(submission, body=encode_record(record).decode())
    if letter.type == SENT:
        try:
            sent = msgspec.structs.replace(decode_sent(body), letter=letter.id)
        except (msgspec.DecodeError, LookupError) as error:
            raise NotReplayable(f"letter {letter.id} is nothing that a case has said", remedy="") from error
        return Submission(partition_of(home_of(sent.send.to), partitions), "sent", OPERATOR, encode_sent(sent))
    try:
        record = decode_record(body)
    except msgspec.DecodeError as error:
        raise NotReplayable(f"letter {letter.id} is no event") from error
    # It is decided as this release decides, whatever release wrote it down, and an operator's events have no quota.
    record = msgspec.structs.replace(
        record,
        letter=letter.id,
        digests=record.digests or (record.digest,),
        principal="",
        parked=0,
        came=record.came or came,  # a letter of a replay that was refused again has the first one's
    )
    data = decode_data(record.event) if record.event.type in EVENT_TYPES else None
    if isinstance(data, EventData):
        record = msgspec.structs.replace(record, measured=data.measured)
    partition = partition_of(home_of(record.event.subject), partitions)
    return Submission(partition, "event", OPERATOR, encode_record(record).decode())


def begin(engine: Engine, id_: str, operator: Operator) -> str:
    """Audit that a letter is to be replayed, before its record goes into the log. Returns the row for its outcome."""
    with engine.database.begin() as connection:
        return audit.write(connection, operator, Act.LETTER_REPLAYED, id_, audit.BEGUN)


def read(engine: Engine, id_: str) -> tuple[Letter, str | None, int] | None:
    """A letter, its sealed bytes, and when its event arrived first (ms): when the letter was written, or earlier, where
    it had waited for its case until then."""
    with engine.database.read() as connection:
        letter = dead_letters.read(connection, id_)
        if letter is None:
            return None
        body, came = dead_letters.read_sealed(connection, letter.token), letter.at
        if body is not None and letter.partition is not None:
            with suppress(msgspec.DecodeError):
                record = decode_record(body)
                known, meant = slices.read_seen(connection, keys_of(letter.partition, record.event)), all_of(record)
                came = min([came, *(row.arrival for row in known if not set(meant).isdisjoint(row.digest.split()))])
        return letter, body, came


def replay(engine: Engine, id_: str, operator: Operator) -> Replayed:
    """Replay a letter that there is, and decide it, by whoever holds the lease. NotReplayable."""
    found = read(engine, id_)
    assert found is not None
    submission = resubmission(*found, engine.count, PrincipalsAndPeople(engine.settings.principals, engine.database))
    audited = begin(engine, id_, operator)
    row = engine.append([submission], engine.stamp([submission.partition]))[0]
    answer: Answer | None = None
    while (result := engine.work(engine.now())) is not None:
        here = (a for a in result.answers if (a.partition, a.position) == (row.partition, row.position))
        answer = next(here, answer)
    outcome = outcome_of(id_, answer, waits=engine.rows[row.partition].position <= row.position)
    write_outcome(engine, outcome, audited)
    return outcome


def outcome_of(id_: str, answer: Answer | None, *, waits: bool = False) -> Replayed:
    """What an answer says of the replay of a letter. None: its record `waits` in the log, or a firing was released,
    which has no answer of its own."""
    if waits:
        return Replayed(id_, PENDING, detail=WAITS)
    if answer is None:
        return Replayed(id_, "released")
    why, wait = answer.refusal, answer.wait
    if why is not None:
        return Replayed(id_, answer.outcome, why.reason, why.field, why.detail)
    if wait is not None:
        return Replayed(id_, answer.outcome, waits_for=wait.waits_for, until=written(wait.until))
    return Replayed(id_, answer.outcome)


def write_outcome(engine: Engine, outcome: Replayed, row: str) -> None:
    """Keep how a replay ended, with the letter and in the audit."""
    with engine.database.begin() as connection:
        dead_letters.write_replayed(connection, outcome.letter, outcome.outcome)
        audit.end(connection, row, " ".join(filter(None, (outcome.outcome, outcome.reason))))
