"""The log held against what was made of it, without deciding anything again. A part of `gridpatrol verify`.

1. A pack is what its hash says.
2. A record of an event can be read, and the row of its outcome names its digest, its case and its arrival; or the
   record has its dead letter. Rows of outcomes may vanish as soon as no resend counts as one.
3. The position of a partition is above all that has an outcome, and its clock is the latest stamp that it has decided.
   The packs that became active in it, and what was archived, are those of its records, and its silences lie between
   their arrivals. Every step carries the arrival of a record, and none an earlier one than the step before it, of its
   case alone where one that stood has gone on; an event that waits says when it came.
4. An event is done, waits or was refused as its last step says. What was refused has its dead letter.
5. A home that an activation has entered has its row, also before it has come up for the first time.
6. What waits for a case that stands is its record of the log. What is on its way to another home has its step.

A log that is a topic is not read: what 2 and 3 say of records then goes for the part of it that is a table, and of the
silences those are known that a home told last.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256

import msgspec
from msgspec import Struct

from engine.errors import PackUnusable
from engine.policies import Policies
from engine.slice import archiving
from engine.slice.entering import activations_of, course_of, subjects_of
from engine.slice.reads import DecodedRecord, decode_row, find_seen
from engine.slice.types import SKIP, UNDECIDABLE, settled_stamp
from engine.store import checks, inbox_table, inventory, sends, slices, standing
from engine.store.database import Connection
from engine.store.rows import InboxRow, PartitionRow
from schemas import digests, facts
from schemas.events import EVENT_TYPES
from schemas.kinds.home import Home
from workflows import case as cases
from workflows import homes
from workflows.policy import model
from workflows.policy.index import Policy

PAGE = 2000
Finding = tuple[str, str, str, str]
"""What is wrong, where, what follows, what was found."""
Verdicts = Mapping[tuple[int, int], Sequence[str]]
"""What was settled of records, by (partition, position)."""
NO_EVENTS = ("tick", "pack", "release", "archive", "sent")
OUTCOME = ("digest", "case_id", "arrival")
"""What the row of an outcome has of its record."""


class Arrivals(Struct):
    """The arrivals of a partition's records, as its clock came to them, and what its row has of them."""

    clock: int = 0  # after the last decided record
    next: int = 0  # of the first record that is not decided; a part of what is due before it may have fired
    decided: int = 0  # records that are at hand
    since: int = 0  # from which on the outcomes of events are kept
    known: set[int] = msgspec.field(default_factory=set)
    packs: list[tuple[str, int]] = msgspec.field(default_factory=list)  # as activated: hash and arrival
    silent: list[tuple[int, int, str]] = msgspec.field(default_factory=list)  # from, to, and the pack that was active
    archives: str = ""  # what was archived, as a partition's row has it
    keys: set[int] = msgspec.field(default_factory=set)  # hashes of the keys of events that came already


def findings(connection: Connection) -> Iterator[Finding]:
    """All of it, one after another."""
    for pack in inbox_table.read_packs(connection):
        if (found := sha256(pack.body.encode()).hexdigest()) != pack.hash:
            yield "pack", pack.hash, "a body with this hash", f"one with {found}"
            continue
        body = model.decode(pack.body.encode())
        for column, right, wrong in (("code", body.code, pack.code), ("title", body.title_en, pack.title)):
            if right != wrong:
                yield "pack", f"{pack.hash} {column}", repr(right), repr(wrong)
    verdicts = {(s.partition, s.position): s.verdict.split() for s in inbox_table.read_settlements(connection)}
    since, last, policies = outcomes_kept_since(connection), checks.last_outcomes(connection), Policies()
    partitions = slices.read_partitions(connection)
    for row in partitions:
        if (position := last.get(row.partition, -1)) >= row.position:
            yield (
                "partition",
                f"{row.partition} position",
                f"above {position}, which has its outcome",
                str(row.position),
            )
        arrivals = Arrivals(since=since.get(row.partition, row.clock + 1))
        yield from of_records(connection, row, verdicts, arrivals, policies)
        whole = arrivals.decided == row.position > 0  # none is missing, and none lies in a topic
        if not whole:  # else its records were asked for their outcomes
            for case, n, source, id_ in inventory.unseen(connection, row.partition, arrivals.since, tuple(EVENT_TYPES)):
                place = f"{source} {id_} (partition {row.partition}, n {n}, case {case})"
                yield "seen", place, "a row with what became of it", "none"
        if whole and row.clock not in (arrivals.clock, arrivals.next):
            yield "partition", f"{row.partition} clock", str(arrivals.clock), str(row.clock)
        if whole and row.archives != arrivals.archives:
            yield "partition", f"{row.partition} archives", repr(arrivals.archives), repr(row.archives)
        yield from of_homes(connection, row, arrivals, policies, len(partitions), whole=whole)
        yield from of_steps(connection, row.partition, arrivals.known if whole else None)
    for partition, source, id_, follows, wrong in checks.outcomes_unlike_steps(connection, tuple(EVENT_TYPES)):
        yield "seen", f"{source} {id_} (partition {partition}) outcome", follows, wrong
    for partition, position in standing.unlike_the_log(connection):
        yield "waiting", f"record {partition}.{position}", "as it stands in the log", "another, for a case that stands"
    for case, seq, k in sends.without_step(connection):
        yield "outgoing", f"{case} {seq}.{k}", "the step that says it", "none"
    for partition, source, id_ in standing.lost(connection):
        yield "seen", f"{source} {id_} (partition {partition})", "a case that stands, for which it waits", "none"
    for partition, source, id_, reason in checks.refusals_without_letter(connection):
        yield "letter", f"{source} {id_} (partition {partition})", f"a dead letter with the reason {reason}", "none"


def outcomes_kept_since(connection: Connection) -> dict[int, int]:
    """The arrival (ms) from which on the outcome of an event is kept, by partition: older ones may vanish. It is the
    shortest window for resends that was ever active. A partition that has decided nothing yet has none."""
    policies, arrived, since = Policies(), inventory.clocks(connection), dict[int, int]()
    for partition, packs in inventory.activations(connection).items():
        activated: list[tuple[str, int]] = msgspec.json.decode(packs)
        windows = list[int]()
        for digest, _ in activated:
            with suppress(PackUnusable):  # a mismatch of its own
                windows.append(policies.get(connection, digest).options.duplicate_window_ms)
        if windows:
            since[partition] = arrived[partition] - min(windows)
    return since


def of_records(
    connection: Connection, row: PartitionRow, verdicts: Verdicts, arrivals: Arrivals, policies: Policies
) -> Iterator[Finding]:
    """The records of a partition page by page, with what became of them; their arrivals are noted."""
    position = 0
    while page := inbox_table.read(connection, row.partition, position, PAGE):
        decided = list[tuple[DecodedRecord, int]]()
        for record in page:
            if record.position > row.position:
                break
            verdict = verdicts.get((row.partition, record.position), ())
            arrivals.next = max(arrivals.clock, settled_stamp(record.stamp, verdict))
            arrivals.known.add(arrivals.next)
            known = record.position < row.position or row.clock == arrivals.next
            if known and arrivals.packs and arrivals.next - arrivals.clock > homes.SILENCE_MS:
                arrivals.silent.append((arrivals.clock, arrivals.next, arrivals.packs[-1][0]))
            if record.position < row.position:
                arrivals.clock = arrivals.next
                if SKIP not in verdict and UNDECIDABLE not in verdict:
                    note_kind(record, arrivals, partial(policies.get, connection))
                decided.append((decode_row(record), arrivals.clock))
        arrivals.decided += len(decided)
        yield from of_outcomes(connection, decided, verdicts, arrivals)
        position = page[-1].position + 1
        if position > row.position:
            break


def note_kind(record: InboxRow, arrivals: Arrivals, policy: Callable[[str], Policy]) -> None:
    """What a record has activated, or archived."""
    if record.kind == "pack":
        arrivals.packs.append((record.body, arrivals.clock))
    elif record.kind == "archive":
        with suppress(msgspec.DecodeError, PackUnusable):
            window_ms = policy(arrivals.packs[-1][0]).options.duplicate_window_ms if arrivals.packs else 0
            noted = PartitionRow(record.partition, record.position, 0, 0, 0, "", "[]", archives=arrivals.archives)
            archiving.note(noted, record.body, arrivals.clock, window_ms)
            arrivals.archives = noted.archives


def of_homes(
    connection: Connection, row: PartitionRow, arrivals: Arrivals, policies: Policies, count: int, *, whole: bool
) -> Iterator[Finding]:
    """What a partition keeps for its homes to follow, held against the records, of which it has all where it is
    `whole`; and the rows of homes that an activation has entered. `count`: of partitions."""
    activated, course = activations_of(row), course_of(row, partial(policies.get, connection))
    if whole and activated != arrivals.packs:
        yield "partition", f"{row.partition} packs", repr(arrivals.packs), repr(activated)
    try:
        bears = {digest: subjects_of(row, [course.policy(digest)], count) for digest, _ in activated}
    except PackUnusable:
        return  # a mismatch of its own
    silences = [(begin, end) for begin, end, digest in arrivals.silent if bears.get(digest)]
    if whole and course.silences != silences:
        yield "partition", f"{row.partition} silences", repr(silences), repr(course.silences)
    rows, ends = inventory.home_rows(connection, row.partition), {end for _, end in course.silences}
    for id_, body in rows.items():
        own = cases.decode(body).own
        if isinstance(own, Home) and own.told and own.told not in ends:
            yield "partition", f"{row.partition} silences", f"one that ends at {own.told}, as {id_} has told", "none"
    owing = bears[activated[-1][0]] if bears else []
    if rows.keys() & owing:  # else none was entered yet: the next start of a server does it
        for id_ in sorted({*owing} - rows.keys()):
            yield "case", id_, "a row of a home, in which something is owed", "none"


def of_outcomes(
    connection: Connection, decided: Sequence[tuple[DecodedRecord, int]], verdicts: Verdicts, arrivals: Arrivals
) -> Iterator[Finding]:
    """Records and their arrivals held against their rows in `seen`, which may be missing of those of long ago; those
    that were not taken against the letters."""
    keys = {key for record, _ in decided for key in record.keys or ()}
    seen = {row.key: row for row in slices.read_seen(connection, sorted(keys))} if keys else {}
    refused = set[str]()
    for record, arrival in decided:
        row, body, name = record.row, record.body, f"{record.row.partition}.{record.row.position}"
        verdict = verdicts.get((row.partition, row.position), ())
        passed = row.kind != "tick" and (SKIP in verdict or UNDECIDABLE in verdict)
        if passed or (body is None and row.kind not in NO_EVENTS):
            refused.add(name)
        if passed or body is None or record.keys is None:
            continue
        found, sent = find_seen(seen, record), digests.all_of(body)
        first = (own := hash(record.keys[0])) not in arrivals.keys
        arrivals.keys.add(own)
        if found is None and arrival >= arrivals.since:
            yield "seen", f"{body.event.source} {body.event.id} (record {name})", "a row with what became of it", "none"
        if found is None or found.position > row.position:
            continue  # or it is of the same event, taken again since
        known = found.digest.split()
        if found.position < row.position:
            if set(known).isdisjoint(sent):
                refused.add(name)  # a conflict
            continue
        # A resend adds forms behind those of the first sending, of which an older release kept fewer. An event that is
        # decided anew keeps what was known of it before.
        same = known != [] and known[: len(sent)] == sent[: len(known)] if first else not set(known).isdisjoint(sent)
        follows = (found.digest if same else " ".join(sent), body.event.subject, arrival)
        stored = (found.digest, found.case_id, found.arrival)
        for column, right, wrong in zip(OUTCOME, follows, stored, strict=True):
            if right != wrong:
                yield "seen", f"{found.source} {found.id} (record {name}) {column}", repr(right), repr(wrong)
    for name in sorted(refused - checks.letters_among(connection, refused)):
        yield "letter", f"record {name}", "a dead letter, for it was not taken", "none"


def of_steps(connection: Connection, partition: int, known: set[int] | None) -> Iterator[Finding]:
    """Steps that carry no arrival of a record, or an earlier one than the step before. `known`: all arrivals."""
    last, later = 0, standing.have_gone_on(connection)
    for n, before, at in checks.steps_before_their_own(connection, partition) if later else ():
        yield "step", f"partition {partition}, n {n}, at", f"{before} or later, as of the step before", str(at)
    for n, at, waiting in checks.times_of_steps(connection, partition):
        where = f"partition {partition}, n {n}, at"
        if at < last and not later:
            yield "step", where, f"{last} or later, as of the step before", str(at)
        if known is not None and at not in known:
            yield "step", where, "the arrival of a record", str(at)
        for fact in facts.decode_facts(waiting) if waiting is not None else ():
            if isinstance(fact, facts.Parked) and fact.arrival != at:
                yield "step", where, f"{fact.arrival}, as its event was parked", str(at)
        last = at
