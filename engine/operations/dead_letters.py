"""Replaying dead letters: an operator's record that wraps the original.

In: a letter and its sealed bytes. Out: the `Submission` that decides it anew, or why that cannot be. What was sealed of
the original stays sealed; only the decision is made again, under the pack and the case as they are now.
"""

import msgspec
from msgspec import Struct

from engine import admission
from engine.errors import GridpatrolError
from engine.inbox import Submission
from engine.principals import LOCAL, OURS, Principal, Principals, check
from engine.runtime import Engine
from engine.slice.types import Answer
from engine.store import dead_letters as store
from engine.store.dead_letters import Letter
from schemas.envelope import decode_record, encode_record
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal

OPERATOR = "operator"
"""The principal of an operator's records."""


class Replayed(Struct, frozen=True):
    """What became of a replayed letter: done, parked, refused, duplicate; `released` for a failed firing."""

    letter: str
    outcome: str
    reason: str = ""
    field: str = ""
    detail: str = ""


class NotReplayable(GridpatrolError):
    """This letter cannot be replayed."""


def resubmission(letter: Letter, body: str | None, partitions: int, principals: Principals) -> Submission:
    """The record that replays a letter. A firing that failed is released: its case's clocks run again.

    What never had a position may never have been asked who sent it: its sender has to be one that may speak for the
    actor.
    """
    if not letter.token:
        return Submission(partition_of(home_of(letter.case_id), partitions), "release", OPERATOR, letter.case_id)
    if body is None:
        raise NotReplayable(f"the bytes of letter {letter.id} have been erased")
    if letter.reason == Reason.CONFLICT:
        raise NotReplayable(
            f"letter {letter.id} has the source and id of another event: its sender has to send it with a new id"
        )
    if letter.partition is None:
        return _received(letter, body, partitions, _sender(letter, principals))
    try:
        record = msgspec.structs.replace(decode_record(body), letter=letter.id)
    except msgspec.DecodeError as error:
        raise NotReplayable(f"letter {letter.id} is no event: {error}") from error
    partition = partition_of(home_of(record.event.subject), partitions)
    return Submission(partition, "event", OPERATOR, encode_record(record).decode())


def _sender(letter: Letter, principals: Principals) -> Principal:
    """Who sent what became this letter, as it stands now."""
    if not principals.asked or letter.principal in OURS:
        return LOCAL
    known = principals.named(letter.principal)
    if known is None:
        raise NotReplayable(f"letter {letter.id} came from {letter.principal!r}, which is no principal any more")
    return known


def _received(letter: Letter, body: str, partitions: int, sender: Principal) -> Submission:
    """What was refused by its shape comes in again as it was sent, for a release that knows its type by now."""
    received = admission.receive(body.encode(), OPERATOR, partitions)
    if not isinstance(received, Refusal):
        received = check(sender, received[1]) or received
    if isinstance(received, Refusal):
        where = f" ({received.field})" if received.field else ""
        raise NotReplayable(f"letter {letter.id} is still refused: {received.reason}{where}: {received.detail}")
    submission, _ = received
    record = msgspec.structs.replace(decode_record(submission.body), letter=letter.id)
    return msgspec.structs.replace(submission, body=encode_record(record).decode())


def read(engine: Engine, id_: str) -> tuple[Letter, str | None] | None:
    """A letter and its sealed bytes."""
    with engine.database.read() as connection:
        letter = store.read(connection, id_)
        return (letter, store.read_sealed(connection, letter.token)) if letter else None


def outcome_of(id_: str, answer: Answer | None) -> Replayed:
    """An answer in words."""
    if answer is None:
        return Replayed(id_, "released")
    why = answer.refusal
    if why is None:
        return Replayed(id_, answer.outcome)
    return Replayed(id_, answer.outcome, why.reason, why.field, why.detail)


def keep(engine: Engine, outcome: Replayed) -> None:
    """Write down how a replay ended."""
    with engine.database.begin() as connection:
        store.write_replayed(connection, outcome.letter, outcome.outcome)
