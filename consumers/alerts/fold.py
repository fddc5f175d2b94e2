"""Alerts: who is told that something is due, and what became of it; and the feed that tells them.

Rows of `alerts` follow from the facts alone. Lines of the feed in `deliveries` have no gaps in their numbers and follow
the wall clock.

1. An alert fires, and ends resolved or withdrawn. A fact that ends a clock's alerts ends all of that clock, level and
   cycle. A clock that stops resolves what still fires; when the total clock stops, the case is over and so are all its
   alerts.
2. Who was told may acknowledge it, each for itself, and the alert goes on. The feed says so to whoever reads it, and
   rings nobody: a line of it has no recipients.
3. An alert with `not_before` waits: for the end of the quiet hours, or because it was past when it became known. If it
   ends before that, it has no line.
4. Lines are delivered at least once: a line has an id of alert and event, and one more per recipient, the same each
   time.
5. A line's place in the feed is epoch and number. A restored database begins a new epoch, since numbers after the
   backup have been used already.
"""

from collections.abc import Callable, Iterable

import msgspec

from consumers.alerts import telling
from engine import failpoints
from engine.clock import now_ms
from engine.store import alerts, notices, steps
from engine.store.alerts import AlertRow, DeliveryRow
from engine.store.database import Connection, Database
from engine.store.meta import read_meta, write_meta
from engine.store.notices import NoticeRow
from engine.store.outbox import read_backlog
from schemas import facts
from schemas.messages import Line, encode_line
from workflows.case import TOTAL

NAME = "alerts"
CHANNEL = "feed"
Heard = Callable[[list[DeliveryRow]], None]
LONGEST_QUIET_MS = 48 * 3_600_000
"""Nothing waits longer than this after it was raised: quiet hours are part of one day, and a hold lasts an hour."""

_OF_ALERTS = ('"alert.', '"clock.stopped"', '"incident.acknowledged"')
_OF_NOTICES = '"notice.given"'


# ---- folding facts into alerts -----------------------------------------------------------------------


def consume(database: Database, limit: int = 500, now: int | None = None, heard: Heard | None = None) -> int:
    """Fold the next steps, about `limit` at most, and write the lines that are due. Returns how many steps.

    `heard` is called after the commit with the lines that the feed grew by.
    """
    lines: list[DeliveryRow] = []
    with database.begin() as connection:
        rows = steps.read_new(connection, NAME, limit)
        if not rows:
            return 0
        alerted = {row.case_id for row in rows if any(word in row.body for word in _OF_ALERTS)}
        news = [row for row in rows if row.case_id in alerted or _OF_NOTICES in row.body]
        if news:
            instant, lines = _tell_waiting(connection, now_ms() if now is None else now)
            board = _Board(alerts.read_open(connection, alerted) if alerted else (), instant)
            for row in news:
                board.fold(steps.step_of(row))
            number = alerts.last_number(connection) + len(lines)
            lines += [_line(number + k, *item, instant) for k, item in enumerate(board.news, 1)]
            notices.write(connection, board.notices)
            alerts.write(connection, sorted(board.changed.values(), key=lambda row: row.id), lines)
        steps.move_on(connection, NAME, rows)
        failpoints.hit("alerts.before_commit")
    failpoints.hit("alerts.after_commit")
    if heard is not None and lines:
        heard(lines)
    return len(rows)


class _Board:
    """The firing alerts of some cases in memory, and the lines that they need."""

    def __init__(self, known: Iterable[AlertRow], now: int) -> None:
        self.now = now
        self.by_case: dict[str, list[AlertRow]] = {}
        self.changed: dict[str, AlertRow] = {}
        self.notices: list[NoticeRow] = []
        self.news: list[tuple[AlertRow | NoticeRow, str, str, str]] = []  # what, by whom, why it gets a line now
        for row in sorted(known, key=lambda row: (row.raised_at, row.id)):
            self.by_case.setdefault(row.case_id, []).append(row)

    def fold(self, step: facts.Step) -> None:
        """Apply a step's facts in their order."""
        for fact in step.facts:
            if isinstance(fact, facts.AlertRaised):
                self._raise(step, fact)
            elif isinstance(fact, facts.Acknowledged):
                if fact.rung:
                    self._acknowledge(step.case, rung_of(step.case, fact), fact.by)
            elif isinstance(fact, facts.AlertEnded) and fact.how == "acknowledged":  # of an earlier release
                self._acknowledge(step.case, f"{step.case}|{fact.clock}.{fact.level}|{fact.cycle}|", fact.by, old=True)
            elif isinstance(fact, facts.AlertEnded):
                self._end(step, fact, fact.how, fact.by)
            elif isinstance(fact, facts.ClockStopped):
                self._end(step, fact, "resolved", "")
            elif isinstance(fact, facts.NoticeGiven):
                row = telling.row_of(step, fact)
                self.notices.append(row)
                if not row.daily and not self._waits(row):
                    self.news.append((row, telling.TOLD, "", f"move {row.move}"))

    def _raise(self, step: facts.Step, fact: facts.AlertRaised) -> None:
        row = AlertRow(
            fact.alert,
            step.partition,
            step.case,
            fact.kind,
            fact.clock,
            fact.level,
            cycle_of(fact),
            step.definition,
            step.path,
            step.category,
            msgspec.json.encode(fact.to).decode(),
            fact.due_at,
            fact.due,
            step.at,
            fact.not_before,
            "firing",
            None,
            "",
            "[]",
            step.department,
        )
        self.by_case.setdefault(step.case, []).append(row)
        self.changed[row.id] = row
        if not self._waits(row):
            self.news.append((msgspec.structs.replace(row), "firing", "", f"rung {row.kind}"))

    def _waits(self, row: AlertRow | NoticeRow) -> bool:
        return row.not_before is not None and row.not_before > self.now

    def _acknowledge(self, case: str, rung: str, by: str, *, old: bool = False) -> None:
        """A post has seen the alerts whose ids begin like this. It has seen those that told it; an earlier release said
        it of all that nobody had seen."""
        for row in self.by_case.get(case, ()):
            seen: list[str] = msgspec.json.decode(row.acknowledged_by)
            applies = not seen if old else by in msgspec.json.decode(row.recipients) and by not in seen
            if row.status != "firing" or not applies or not row.id.startswith(rung):
                continue
            row.acknowledged_by = msgspec.json.encode(sorted([*seen, by])).decode()
            self.changed[row.id] = row
            if not self._waits(row):
                self.news.append((msgspec.structs.replace(row), "acknowledged", by, f"by {by}"))

    def _end(self, step: facts.Step, fact: facts.AlertEnded | facts.ClockStopped, how: str, by: str) -> None:
        """End the alerts that the fact is about. An alert that still waits has no line, and ends without one."""
        over = isinstance(fact, facts.ClockStopped) and fact.clock == TOTAL
        for row in self.by_case.get(step.case, ()):
            same = (row.clock, row.level, row.cycle) == (fact.clock, fact.level, fact.cycle)
            if not (over or same) or row.status != "firing":
                continue
            row.status, row.ended_at, row.ended_by = how, step.at, by
            self.changed[row.id] = row
            if not self._waits(row):
                why = f"by {by}" if by else "by the case itself"
                self.news.append((msgspec.structs.replace(row), how, by, why))


def cycle_of(fact: facts.AlertRaised) -> int:
    """The cycle in which an alert was raised: the third part of its id. Urging belongs to no cycle."""
    return 0 if fact.kind == "urge" else int(fact.alert.split("|")[2])


def rung_of(case: str, fact: facts.Acknowledged) -> str:
    """How the ids of the alerts of an acknowledged rung begin, whatever the repeat."""
    return f"{case}|{fact.clock}.{fact.level}|{fact.cycle}|{fact.target}|{fact.rung}|"


# ---- telling -----------------------------------------------------------------------------------------


def tell(database: Database, now: int | None = None, heard: Heard | None = None) -> int:
    """Write the lines of alerts and notices whose time to be told has come by now (ms since 1970). Returns how many.

    `heard` is called after the commit with the lines.
    """
    now = now_ms() if now is None else now
    with database.read() as connection:
        last = int(read_meta(connection, alerts.TOLD) or 0)
        waiting = alerts.read_waiting(connection, last, now, last - LONGEST_QUIET_MS)
        if not waiting and not notices.any_due(connection, now):
            return 0
    with database.begin() as connection:
        now, lines = _tell_waiting(connection, now)
        if not read_backlog(connection, NAME).steps:
            lines += telling.tell_daily(connection, alerts.last_number(connection) + len(lines), now)
        alerts.write(connection, [], lines)
    if heard is not None and lines:
        heard(lines)
    return len(lines)


def _tell_waiting(connection: Connection, now: int) -> tuple[int, list[DeliveryRow]]:
    """The instant up to which every alert has its line now, and the lines for those that have waited long enough.

    That instant never goes back with the wall clock, or an alert could fall between two passes. An operator's word on
    the clock sets one back that was ahead: what was told too early is then told again, under the same ids.
    """
    write_meta(connection, alerts.TOLD, "0", keep=True)
    last = int(read_meta(connection, alerts.TOLD, lock=True) or 0)
    now = max(now, last)
    waiting = alerts.read_waiting(connection, last, now, last - LONGEST_QUIET_MS)
    number = alerts.last_number(connection)
    if now > last:
        write_meta(connection, alerts.TOLD, str(now))
    why = "it has waited long enough"
    lines = [_line(number + k, row, "firing", "", why, now) for k, row in enumerate(waiting, 1)]
    return now, lines + telling.tell_waiting(connection, number + len(lines), now)


def _line(number: int, row: AlertRow | NoticeRow, what: str, by: str, why: str, now: int) -> DeliveryRow:
    """A line of the feed. Several posts may acknowledge an alert, so that line is named after the post, and rings
    nobody; what waited does not ring who has seen it meanwhile."""
    if isinstance(row, NoticeRow):
        row.number = number
        return telling.line_of(row, why, now)
    id_ = f"{row.id}|{what}"
    posts: list[str] = msgspec.json.decode(row.recipients)
    if what == "acknowledged":
        id_, posts = f"{id_}|{by}", []
    elif what == "firing":
        seen: list[str] = msgspec.json.decode(row.acknowledged_by)
        posts = [post for post in posts if post not in seen]
    body = Line(
        id=id_,
        alert=row.id,
        what=what,
        case=row.case_id,
        kind=row.kind,
        clock=row.clock,
        level=row.level,
        path=row.path,
        category=row.category,
        recipients={post: f"{id_}|{post}" for post in posts},
        due_at=row.due_at,
        raised_at=row.raised_at,
        due=row.due,
        by=by,
        definition=row.definition,
    )
    told = msgspec.json.encode(posts).decode()
    text = encode_line(body).decode()
    return DeliveryRow(number, row.id, what, row.definition, row.path, CHANNEL, told, why, now, text)


# ---- the feed's place --------------------------------------------------------------------------------


def epoch(database: Database) -> str:
    """The feed's epoch; the first call of an installation begins it."""
    with database.read() as connection:
        found = read_meta(connection, alerts.EPOCH)
    if found is not None:
        return found
    with database.begin() as connection:
        write_meta(connection, alerts.EPOCH, _epoch_after("0"), keep=True)
        return read_meta(connection, alerts.EPOCH) or ""


def restart_feed(database: Database) -> str:
    """Begin a new epoch, after a restore: lines from after the backup are written again under other numbers."""
    with database.begin() as connection:
        fresh = _epoch_after(read_meta(connection, alerts.EPOCH, lock=True) or "0")
        write_meta(connection, alerts.EPOCH, fresh)
    return fresh


def _epoch_after(last: str) -> str:
    """The present millisecond in hex, later than the last epoch whatever the wall clock says."""
    return f"{max(now_ms(), int(last, 16) + 1):x}"
