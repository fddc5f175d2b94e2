"""The judge: what a run in the distributed shape promised, and whether all of it was kept.

Enters: the database, brokers and ledger of a run that has come to rest. Leaves: a `Verdict` with numbers, and a
sentence for each thing that is lost, doubled, missing or different. Nothing here asks the engine whether it was right:
the inbox topic is read as it is, the log is replayed by another engine on another database, topics are held against
tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition

from consumers import verify
from consumers.alerts.publish import line_of
from engine.clock import now_ms
from engine.cluster.relay import NAME as RELAY
from engine.cluster.relay import message
from engine.policies import Policies
from engine.replay import export_log, replay_log
from engine.settings import Settings
from engine.store import alerts, notices
from engine.store.alerts import DeliveryRow
from engine.store.database import Connection, Database, open_database
from engine.store.deflating import inflated
from engine.store.meta import read_meta
from engine.store.rows import StepRow
from engine.views.names import active_names
from gridpatrol.run.wiring import whole_log
from lab.chaos.load import Ledger, Sending
from lab.chaos.notices import TWICE, given_by, wrong_notices
from lab.runs import consumers, engine_on
from schemas import facts, messages
from schemas.topics import Topics

SHOWN = 5
"""How many of a kind are told; the rest is counted."""
LATE_MS = 3_000
"""How long after its instant something due may wait for its tick."""
Running = dict[tuple[str, int, int], tuple[int, int, int]]
"""Clocks with a deadline: (clock, level, cycle) -> (target, due, arrival at which that was set)."""
SAME = {
    "facts": "SELECT * FROM facts ORDER BY partition, n",
    "seen": "SELECT partition, source, id, home, actor, digest, arrival, position, outcome, reason, field, detail, "
    "case_id FROM seen ORDER BY partition, source, id, home, actor",  # when it was decided follows from slices
    "cases": "SELECT * FROM cases ORDER BY id",
    "partitions": "SELECT partition, position, clock, n, halted, packs FROM partitions ORDER BY partition",
    "dead letters": "SELECT id, at, partition, position, reason, field, detail, source, event_id, type, case_id, "
    "principal, token FROM dead_letters WHERE partition IS NOT NULL ORDER BY id",
    "figures": "SELECT definition, measure, day, path, department, category, grp, post, value FROM figures "
    "WHERE value <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8",
    "outcomes": "SELECT * FROM outcomes ORDER BY case_id, clock, level, cycle, target",
    "alerts": "SELECT * FROM alerts ORDER BY id",
    "notices": "SELECT id, move, definition, path, category, recipients, raised_at, not_before, daily FROM notices "
    "ORDER BY id",
}
"""What a replay of the exported log must give again."""


@dataclass
class Verdict:
    """Numbers of a run, and what was wrong with it."""

    numbers: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def complain(self, what: str, found: Iterable[object], *also: str) -> int:
        """Note all of a kind: the first few in words. How many there were."""
        items = list(found)
        self.wrong += [f"{what}: {item}" for item in items[:SHOWN]]
        if len(items) > SHOWN:
            self.wrong.append(f"{what}: and {len(items) - SHOWN} more")
        for name in also if items else ():
            self.numbers[name] = self.numbers.get(name, 0) + len(items)
        return len(items)


class Case:
    """A run that is judged."""

    def __init__(self, database: Database, settings: Settings, ledger: Ledger, folder: Path, at_ms: int) -> None:
        self.database, self.settings, self.ledger, self.folder = database, settings, ledger, folder
        self.at_ms = at_ms
        self.topics = Topics(settings.kafka_prefix)
        self.verdict = Verdict({"lost": 0, "twice": 0})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return rows_of(connection, sql)


def rows_of(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """What a statement finds, with texts that SQLite keeps deflated as texts."""
    return [tuple(map(inflated, row)) for row in connection.exec_driver_sql(sql)]


def judge(settings: Settings, ledger: Ledger, folder: Path, at_ms: int) -> Verdict:
    """Judge a run that had come to rest at an instant, before it was stopped."""
    database = open_database(settings.database)
    try:
        case = Case(database, settings, ledger, folder, at_ms)
        case.verdict.complain("not done", unfinished(database, settings, at_ms))
        logged = check_log(case)
        check_promises(case, logged)
        columns = ", ".join(StepRow.__struct_fields__)
        steps = [StepRow(*row) for row in case.rows(f"SELECT {columns} FROM facts ORDER BY partition, n")]
        check_effects(case, steps)
        check_due(case, steps)
        check_facts_topic(case, steps)
        check_other_topics(case, steps)
        check_replay(case)
        case.verdict.complain("verify", verify.verify(database))
        return case.verdict
    finally:
        database.close()


# ---- at rest ------------------------------------------------------------------------------------------------


def unfinished(database: Database, settings: Settings, at_ms: int) -> list[str]:
    """What a run still had to do at an instant, before it can be judged."""
    with database.read() as connection:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

        left = [f"partition {p} halted: {why}" for p, why in ask("SELECT partition, halted FROM partitions") if why]
        stands = dict(ask("SELECT partition, position FROM partitions"))
        numbers = dict(ask("SELECT partition, n FROM partitions"))
        late = ask(f"SELECT id, next_at FROM cases WHERE next_at < {at_ms - LATE_MS}")
        left += [f"due at {at} and not fired: case {id_}" for id_, at in late]
        for consumer in (RELAY, "performance", "alerts"):
            read = dict(ask(f"SELECT partition, n FROM positions WHERE consumer = '{consumer}'"))
            left += [
                f"{consumer} stands at {read.get(p, 0)} of {n} in partition {p}"
                for p, n in numbers.items()
                if read.get(p, 0) != n
            ]
        told_, published = (
            ask("SELECT coalesce(max(number), 0) FROM deliveries")[0][0],
            ask("SELECT n FROM positions WHERE consumer = 'alerts.topic'"),
        )
        if told_ != (published[0][0] if published else 0):
            left.append(f"the feed is published to {published}, it was told to {told_}")
        hour = read_meta(connection, notices.DAILY_TOLD) or "0"
        waiting = ask(f"SELECT id, not_before FROM notices WHERE number = 0 AND not_before < {at_ms - LATE_MS}")
        left += [f"notice {id_} waited until {until}" for id_, until in waiting if until > int(hour)]
        left += [
            f"dead letter {id_} is not published" for (id_,) in ask("SELECT id FROM dead_letters WHERE NOT published")
        ]
        left += [
            f"{count} changes of figures are not published" for (count,) in ask("SELECT count(*) FROM untold") if count
        ]
    if left:
        return left  # it is asked again and again, and a client of the brokers takes a tenth of a second to be made
    inbox, reader = Topics(settings.kafka_prefix).inbox, _reader(settings)
    try:
        places = [TopicPartition(inbox, p) for p in sorted(reader.partitions_for_topic(inbox))]
        ends = {place.partition: end for place, end in reader.end_offsets(places).items()}
    finally:
        reader.close()
    return [f"partition {p} stands at {stands[p]} of {end}" for p, end in ends.items() if stands[p] != end]


def _reader(settings: Settings) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=settings.kafka.split(","),
        auto_offset_reset="earliest",
        group_id=None,
        enable_auto_commit=False,
        max_poll_records=5000,
        metrics_enabled=False,
        bootstrap_timeout_ms=10_000,
    )


def _read(case: Case, topic: str) -> Iterator[Any]:
    """All messages of a topic, in order within a partition; a hole in the offsets is told."""
    reader = _reader(case.settings)
    try:
        places = [TopicPartition(topic, p) for p in sorted(reader.partitions_for_topic(topic))]
        reader.assign(places)
        reader.seek_to_beginning(*places)
        ends = {place: end for place, end in reader.end_offsets(places).items() if end}
        next_ = dict.fromkeys(ends, 0)
        until = now_ms() + 60_000
        while any(next_[place] < ends[place] for place in ends):
            if now_ms() > until:
                raise AssertionError(f"topic {topic} cannot be read to its end: {next_} of {ends}")
            for place, batch in reader.poll(500).items():
                for item in batch:
                    if item.offset != next_[place]:
                        gap = f"{topic} {place.partition}: offset {item.offset}, {next_[place]} comes next"
                        case.verdict.complain("topic", [gap])
                    next_[place] = item.offset + 1
                    yield item
    finally:
        reader.close()


# ---- the log ------------------------------------------------------------------------------------------------


def check_log(case: Case) -> dict[tuple[int, int], tuple[str, str, str]]:
    """The inbox as it is: (partition, position) -> (kind, source, id). Every event in it has an outcome."""
    seen = {
        (p, s, i): (position, outcome)
        for p, s, i, position, outcome in case.rows("SELECT partition, source, id, position, outcome FROM seen")
    }
    letters = {
        (p, position)
        for p, position in case.rows("SELECT partition, position FROM dead_letters WHERE position IS NOT NULL")
    }
    logged, without, repeats, kinds = {}, [], 0, dict[str, int]()
    for item in _read(case, case.topics.inbox):
        kind = dict(item.headers).get("kind", b"").decode("latin-1")
        kinds[kind] = kinds.get(kind, 0) + 1
        place, source, id_ = (item.partition, item.offset), "", ""
        if kind == "event":
            try:
                event = msgspec.json.decode(item.value or b"")["event"]
                source, id_ = event["source"], event["id"]
            except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
                pass
        logged[place] = (kind, source, id_)
        if kind in ("tick", "pack", "release", "archive", "sent") or place in letters:
            continue
        first = seen.get((item.partition, source, id_))
        if first is None or first[0] > item.offset:
            without.append(f"record {place} ({kind} {source} {id_})")
        else:
            repeats += first[0] < item.offset
    case.verdict.complain("no outcome", without, "lost")
    case.verdict.numbers |= {
        "records": len(logged),
        "event records": kinds.get("event", 0),
        "events": len(seen),
        "ticks": kinds.get("tick", 0),
        "repeats": repeats,
        "dead letters": len(letters),
    }
    return logged


def check_promises(case: Case, logged: dict[tuple[int, int], tuple[str, str, str]]) -> None:
    """What was answered with 202 stands in the log where the answer said; what a broker took was forwarded."""
    ledger, verdict = case.ledger, case.verdict
    missing = [
        f"{place} is {logged.get(place)}, was promised to {s.source} {s.id}"
        for s in ledger.sendings
        for place in s.places
        if logged.get(place) != ("event", s.source, s.id)
    ]
    verdict.complain("202 and not in the log", missing, "lost")
    verdict.complain("never acknowledged", (s.id for s in ledger.sendings if not (s.places or s.rejected)))
    known = {(source, id_) for kind, source, id_ in logged.values() if kind == "event"}
    refused = {(source, id_) for source, id_ in case.rows("SELECT source, event_id FROM dead_letters")}

    def forwarded(sending: Sending) -> bool:
        key = (sending.source, sending.id)
        return key in refused and key not in known if sending.rejected else key in known

    verdict.complain("not forwarded", (f"{s.source} {s.id}" for s in ledger.forwarded if not forwarded(s)), "lost")
    verdict.numbers |= {
        "events in": len(ledger.sendings) + len(ledger.forwarded),
        "sent": ledger.tries,
        "strays": ledger.strays,
        "accepted": sum(bool(s.places) for s in ledger.sendings),
        "forwarded": len(ledger.forwarded),
    }


# ---- effects ------------------------------------------------------------------------------------------------


def check_effects(case: Case, steps: list[StepRow]) -> None:
    """No event has two effects; an early one may have been parked before it had its own."""
    effects: dict[tuple[int, str, str], int] = {}
    for step in steps:
        cause = facts.decode_cause(step.cause)
        if not cause.actor and cause.occurred is not None:
            continue  # a clock's, or the engine's own
        parked = any(
            isinstance(fact, facts.Parked) and (fact.source, fact.id) == (cause.source, cause.id)
            for fact in facts.decode_facts(step.body)
        )
        key = (step.partition, cause.source, cause.id)
        effects[key] = effects.get(key, 0) + (not parked)
    case.verdict.complain("two effects", (key for key, count in effects.items() if count > 1), "twice")
    done = {(p, s, i) for p, s, i in case.rows("SELECT partition, source, id FROM seen WHERE outcome = 'done'")}
    case.verdict.complain("done without effect", done - {key for key, count in effects.items() if count}, "lost")
    case.verdict.numbers["facts"] = sum(len(facts.decode_facts(step.body)) for step in steps)
    case.verdict.numbers["steps"] = len(steps)


def check_due(case: Case, steps: list[StepRow]) -> None:
    """Every deadline that passed while its clock ran was told, before anything that arrived after it."""
    now, due, fired, silent = case.at_ms - LATE_MS, 0, 0, []
    by_case: dict[str, list[StepRow]] = {}
    for step in steps:
        by_case.setdefault(step.case_id, []).append(step)
    rungs = 0
    for id_, own in by_case.items():
        running: Running = {}
        told_: set[tuple[str, int, int, int]] = set()
        passed: set[tuple[str, int, int, int]] = set()
        for step in sorted(own, key=lambda row: row.seq):
            found = facts.decode_facts(step.body)
            # Neither what was due itself nor a parked word that it released, which is dated at its instant.
            if facts.decode_cause(step.cause).actor and not any(isinstance(fact, facts.Unparked) for fact in found):
                # What a late word has set, a later word that came with it may have met: no instant lay between them.
                passed |= {(*key, target) for key, (target, *at) in running.items() if max(at) < step.at}
                silent += [f"case {id_} seq {step.seq}: {key}" for key in passed - told_]
            for fact in found:
                rungs += isinstance(fact, facts.ClockRung)
                _follow(running, told_, fact, step.at)
        passed |= {(*key, target) for key, (target, at, _) in running.items() if at < now}
        silent += [f"case {id_} at the end: {key}" for key in passed - told_]
        due += len(passed | told_)
        fired += len(told_)
    case.verdict.complain("passed in silence", silent, "lost")
    case.verdict.numbers |= {"due": due, "fired": fired, "rungs": rungs}


def _follow(running: Running, told_: set[tuple[str, int, int, int]], fact: Any, at: int) -> None:
    """Take a fact into the clocks that run, and the breaches that were told."""
    if not isinstance(fact, facts.ClockFact):
        return
    key = (fact.clock, fact.level, fact.cycle)
    if isinstance(fact, (facts.ClockPaused, facts.ClockStopped)):
        running.pop(key, None)
    elif isinstance(fact, (facts.ClockStarted, facts.ClockResumed, facts.ClockRetargeted)):
        running.pop(key, None)
        if fact.due is not None:
            running[key] = (fact.target, fact.due, at)
    elif isinstance(fact, facts.ClockRung) and fact.breach:
        told_.add((*key, fact.target))


# ---- topics -------------------------------------------------------------------------------------------------


def check_facts_topic(case: Case, steps: list[StepRow]) -> None:
    """Every step at least once, byte for byte, and nothing before what comes before it."""
    wanted = {(step.partition, step.n): message(step) for step in steps}
    last: dict[int, int] = {}
    jumps, other, count = [], [], 0
    for item in _read(case, case.topics.facts):
        count += 1
        n = msgspec.json.decode(item.value)["n"]
        if n > last.get(item.partition, 0) + 1:
            jumps.append(f"{item.partition}: step {n} after {last.get(item.partition, 0)}, offset {item.offset}")
        if wanted.get((item.partition, n)) != item.value:
            other.append(f"{item.partition}.{n}, offset {item.offset}")
        last[item.partition] = max(n, last.get(item.partition, 0))
    case.verdict.complain("facts topic, out of order", jumps)
    case.verdict.complain("facts topic, not as stored", other)
    ends = {step.partition: step.n for step in steps}
    short = [f"{p} ends at {last.get(p, 0)} of {n}" for p, n in ends.items() if last.get(p, 0) != n]
    case.verdict.complain("facts topic, missing", short, "lost")
    case.verdict.numbers["facts messages"] = count


def check_notices(case: Case, steps: list[StepRow], lines: list[messages.PublishedAlert]) -> None:
    """Every notice of the facts was told, once and to whom they name, and no other was."""
    given, named = given_by(steps), dict(case.rows("SELECT id, number FROM notices"))
    wrong = sorted(wrong_notices(given, lines, named, case.at_ms - LATE_MS))
    for what, found in groupby(wrong, itemgetter(0)):
        case.verdict.complain(what, (where for _, where in found), "twice" if what == TWICE else "lost")
    case.verdict.numbers |= {
        "notices": sum(not fact.daily for fact in given.values()),
        "in daily lines": sum(given[id_].daily and number > 0 for id_, number in named.items() if id_ in given),
    }


def check_other_topics(case: Case, steps: list[StepRow]) -> None:
    """Every line of the feed and every dead letter at least once, every figure as it stands."""
    names = ", ".join(DeliveryRow.__struct_fields__)
    with case.database.read() as connection:
        epoch, words = read_meta(connection, alerts.EPOCH) or "0", active_names(connection, Policies())
    rows = [DeliveryRow(*row) for row in case.rows(f"SELECT {names} FROM deliveries")]
    published = {item.value for item in _read(case, case.topics.alerts)}
    _compare(case, "feed", {messages.encode_alert(line_of(row, epoch, words)) for row in rows}, published)
    check_notices(case, steps, [messages.decode_alert(line) for line in published])
    _compare(
        case,
        "dead letters",
        {id_ for (id_,) in case.rows("SELECT id FROM dead_letters")},
        {messages.decode_letter(item.value).id for item in _read(case, case.topics.deadletter)},
    )
    cells: dict[str, int] = {}
    for item in _read(case, case.topics.performance):
        cell = messages.decode_cell(item.value)
        cells[messages.cell_key(cell)] = cell.value
    names = "measure, day, path, department, category, grp, post, definition, value"
    members, found = messages.Cell.__struct_fields__, case.rows(f"SELECT {names} FROM figures")
    stored = [messages.Cell(**dict(zip(members, row, strict=True))) for row in found]
    figures = {messages.cell_key(cell): cell.value for cell in stored}
    _compare(
        case, "figures", {item for item in figures.items() if item[1]}, {item for item in cells.items() if item[1]}
    )
    case.verdict.numbers |= {"lines": len(rows), "figures": len(figures)}


def _compare(case: Case, what: str, stored: set[Any], published: set[Any]) -> None:
    case.verdict.complain(f"topic of {what}, missing", sorted(stored - published, key=repr), "lost")
    case.verdict.complain(f"topic of {what}, not in the store", sorted(published - stored, key=repr))


# ---- the same again -----------------------------------------------------------------------------------------


def check_replay(case: Case) -> None:
    """The exported log, decided once more by one process on SQLite: everything that follows from it is the same."""
    again = case.folder / "again.db"
    with whole_log(case.settings, case.database) as engine:
        lines, count = list(export_log(engine)), engine.count
    (case.folder / "log.jsonl").write_bytes(b"\n".join(lines))
    for old in case.folder.glob("again.db*"):
        old.unlink()
    with engine_on(f"sqlite:///{again}", count, consumers=consumers()) as other:
        replay_log(other, lines)
        for what, sql in SAME.items():
            with other.database.read() as connection:
                found = set(rows_of(connection, sql))
            stored = set(case.rows(sql))
            case.verdict.complain(f"replayed {what}, missing", sorted(stored - found, key=repr))
            case.verdict.complain(f"replayed {what}, too much", sorted(found - stored, key=repr))
