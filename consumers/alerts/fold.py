"""Alerts: who is told that something is due, and what became of it; and the feed that tells them.

Rows of `alerts` follow from the facts alone. Lines of the feed in `deliveries` have no gaps in their numbers and follow
the wall clock.

1. An alert fires, and ends resolved or withdrawn. A fact that ends a clock's alerts ends all of that clock, level and
   cycle. A clock that stops resolves what still fires; when the total clock stops, the case is over and so are all its
   alerts.
2. Who was told may acknowledge it, each for itself, and the alert goes on. The feed says so to whoever reads it, and
   rings nobody: a line of it has no recipients.
3. An alert with `not_before` waits: for the end of the quiet hours, or because it was past when it became known. If it
   ends before that, it has no line. What has waited is told in the order of instants and ids, a page in a transaction:
   a city's missed patrols all wait for the same morning.
4. Lines are delivered at least once: a line has an id of alert and event, and one more per recipient, the same each
   time.
5. A line's place in the feed is epoch and number. A restored database begins a new epoch, since numbers after the
   backup have been used already.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

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
from engine.store.rows import StepRow
from schemas import facts
from schemas.messages import Line, encode_line
from workflows.case import TOTAL

NAME = "alerts"
CHANNEL = "feed"
Heard = Callable[[list[DeliveryRow]], None]
LONGEST_QUIET_MS = 48 * 3_600_000
"""Nothing waits longer than this after it was raised: quiet hours are part of one day, and a hold lasts an hour."""
KEPT_EVERY_MS = 60_000
"""How often the instant is stored up to which every alert has been told, where no alert asks for it: what has been told
is looked for from there on."""


class PageEnd(NamedTuple):
    """Up to here what has waited is told: all that waited for an earlier instant, and what did for this one, up to an
    id."""

    instant: int
    id: str = ""


OF_ALERTS = frozenset((facts.AlertRaised, facts.AlertEnded, facts.ClockStopped, facts.Acknowledged))
"""The facts that an alert may follow."""
FOLDED = OF_ALERTS | {facts.NoticeGiven}


# ---- folding facts into alerts -----------------------------------------------------------------------


def consume(
    database: Database,
    at_hand: Sequence[StepRow] = (),
    limit: int = 500,
    now: int | None = None,
    heard: Heard | None = None,
) -> int:
    """Fold the next steps, those `at_hand` or about `limit` of the store, and write the lines that are due. Returns how
    many steps.

    `heard` is called after the commit with the lines that the feed grew by.
    """
    lines: list[DeliveryRow] = []
    with database.begin() as connection:
        rows = steps.read_new(connection, NAME, limit, None, at_hand)
        if not rows:
            return 0
        lines = take_in(connection, [steps.step_of(row) for row in rows], now)
        steps.move_on(connection, [NAME], rows)
        failpoints.hit("alerts.before_commit")
    failpoints.hit("alerts.after_commit")
    if heard is not None and lines:
        heard(lines)
    return len(rows)


def take_in(connection: Connection, news: Sequence[facts.Step], now: int | None) -> list[DeliveryRow]:
    """Fold steps, and write the lines that are due by now. The consumer's positions are locked."""
    alerted, tells = set[str](), False
    for step in news:
        for fact in step.facts:
            if type(fact) in OF_ALERTS:
                alerted.add(step.case)
            if type(fact) is facts.AlertRaised or (type(fact) is facts.NoticeGiven and not fact.daily):
                tells = True
    alerted -= {step.case for step in news if step.seq == 1}  # of them nothing is stored yet
    known = alerts.read_open(connection, alerted) if alerted else []
    if known or tells:
        last, instant, upto, number, lines = _tell_waiting(connection, now_ms() if now is None else now)
    else:  # nothing gets a line: at most there are notices for those of the day
        last, instant, upto, number, lines = 0, 0, PageEnd(0), 0, []
    board = _Board(known, instant, upto)
    for step in news:
        board.fold(step)
    lines += [_line(number + k, *item, instant) for k, item in enumerate(board.news, 1)]
    alerts.write(connection, sorted(board.changed.values(), key=lambda row: row.id), lines, board.notices)
    if upto.instant > instant > last and any(row.not_before is not None for row in board.changed.values()):
        write_meta(connection, alerts.TOLD, str(instant))  # else the same alerts wait as before
    return lines


class _Board:
    """The firing alerts of some cases in memory, and the lines that they need."""

    def __init__(self, known: Iterable[AlertRow], now: int, upto: PageEnd) -> None:
        self.now, self.upto = now, upto
        self.by_case: dict[str, list[AlertRow]] = {}
        self.changed: dict[str, AlertRow] = {}
        self.notices: list[NoticeRow] = []
        # What, by whom, why it gets a line now, and when it came about.
        self.news: list[tuple[AlertRow | NoticeRow, str, str, str, int]] = []
        for row in sorted(known, key=lambda row: (row.raised_at, row.id)):
            self.by_case.setdefault(row.case_id, []).append(row)

    def fold(self, step: facts.Step) -> None:
        """Apply a step's facts in their order."""
        for fact in step.facts:
            if type(fact) not in FOLDED:
                continue
            if isinstance(fact, facts.ClockStopped):  # the two of most steps first
                self._end(step, fact, "resolved", "")
            elif isinstance(fact, facts.NoticeGiven):
                row = telling.row_of(step, fact)
                self.notices.append(row)
                if not row.daily and not self._waits(row):
                    self.news.append((row, telling.TOLD, "", f"move {row.move}", step.at))
            elif isinstance(fact, facts.AlertRaised):
                self._raise(step, fact)
            elif isinstance(fact, facts.Acknowledged):
                if fact.rung:
                    self._acknowledge(step, rung_of(step.case, fact), fact.by)
            elif isinstance(fact, facts.AlertEnded) and fact.how == "acknowledged":  # of an earlier release
                self._acknowledge(step, f"{step.case}|{fact.clock}.{fact.level}|{fact.cycle}|", fact.by, old=True)
            elif isinstance(fact, facts.AlertEnded):
                self._end(step, fact, fact.how, fact.by)

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
            step.department if fact.unit is None else fact.unit.department,
        )
        self.by_case.setdefault(step.case, []).append(row)
        self.changed[row.id] = row
        if not self._waits(row):
            self.news.append((msgspec.structs.replace(row), "firing", "", f"rung {row.kind}", step.at))

    def _waits(self, row: AlertRow | NoticeRow) -> bool:
        if row.not_before is None or isinstance(row, NoticeRow):
            return row.not_before is not None and row.not_before > self.now
        return (row.not_before, row.id) > self.upto

    def _acknowledge(self, step: facts.Step, rung: str, by: str, *, old: bool = False) -> None:
        """A post has seen the alerts whose ids begin like this. It has seen those that told it; an earlier release said
        it of all that nobody had seen."""
        for row in self.by_case.get(step.case, ()):
            seen: list[str] = msgspec.json.decode(row.acknowledged_by)
            applies = not seen if old else by in msgspec.json.decode(row.recipients) and by not in seen
            if row.status != "firing" or not applies or not row.id.startswith(rung):
                continue
            row.acknowledged_by = msgspec.json.encode(sorted([*seen, by])).decode()
            self.changed[row.id] = row
            if not self._waits(row):
                self.news.append((msgspec.structs.replace(row), "acknowledged", by, f"by {by}", step.at))

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
                self.news.append((msgspec.structs.replace(row), how, by, why, step.at))


def cycle_of(fact: facts.AlertRaised) -> int:
    """The cycle in which an alert was raised: the third part of its id. Urging belongs to no cycle."""
    return 0 if fact.kind == "urge" else int(fact.alert.split("|")[2])


def rung_of(case: str, fact: facts.Acknowledged) -> str:
    """How the ids of the alerts of an acknowledged rung begin, whatever the repeat."""
    return f"{case}|{fact.clock}.{fact.level}|{fact.cycle}|{fact.target}|{fact.rung}|"


# ---- telling -----------------------------------------------------------------------------------------


def tell(database: Database, now: int | None = None, heard: Heard | None = None) -> int:
    """Write the lines of alerts and notices whose time to be told has come by now (ms since 1970), a page of each.
    Returns how many; there may be more if they are a page or more.

    `heard` is called after the commit with the lines.
    """
    now = now_ms() if now is None else now
    with database.read() as connection:
        last = int(read_meta(connection, alerts.TOLD) or 0)
        _, waiting = alerts.look(connection, last, now, last - LONGEST_QUIET_MS)
        if not waiting and not notices.any_due(connection, now):
            return 0
    with database.begin() as connection:
        _, now, _, number, lines = _tell_waiting(connection, now)
        if not read_backlog(connection, NAME).steps:
            lines += telling.tell_daily(connection, number, now)
        alerts.write(connection, [], lines)
    if heard is not None and lines:
        heard(lines)
    return len(lines)


def _tell_waiting(connection: Connection, now: int) -> tuple[int, int, PageEnd, int, list[DeliveryRow]]:
    """The instant up to which every alert has its line now, as it is stored; the present one; and up to where they have
    theirs with this page. The number of the feed's last line, and the lines of those that have waited long enough.

    That instant never goes back with the wall clock, or an alert could fall between two passes. An operator's word on
    the clock sets one back that was ahead: what was told too early is then told again, under the same ids.
    """
    found = alerts.look_locked(connection, now, LONGEST_QUIET_MS)
    if found is None:  # what does not exist cannot be locked
        write_meta(connection, alerts.TOLD, "0", keep=True)
        found = alerts.look_locked(connection, now, LONGEST_QUIET_MS)
    assert found is not None
    last, number, waiting = found
    now = max(now, last)
    upto, lines, amid = PageEnd(now + 1), list[DeliveryRow](), False
    if waiting:
        why = "it has waited long enough"
        instant, _, id_ = (read_meta(connection, alerts.TOLD_AMID) or "").partition("|")
        amid = instant == str(last + 1)
        after = PageEnd(last + 1, id_ if amid else "")
        rows = alerts.read_waiting(connection, after, now, last - LONGEST_QUIET_MS, telling.PAGE + 1)
        if len(rows) > telling.PAGE:
            rows.pop()
            upto = PageEnd(rows[-1].not_before or 0, rows[-1].id)
            last = upto.instant - 1
            write_meta(connection, alerts.TOLD_AMID, f"{upto.instant}|{upto.id}")
            write_meta(connection, alerts.TOLD, str(last))
        lines = [
            _line(number + k, row, "firing", "", why, row.not_before or row.raised_at, now)
            for k, row in enumerate(rows, 1)
        ]
        lines += telling.tell_waiting(connection, number + len(lines), now)
    if upto.instant > now and (now - last >= KEPT_EVERY_MS or ((lines or amid) and now > last)):
        write_meta(connection, alerts.TOLD, str(now))
        last = now
    return last, now, upto, number + len(lines), lines


def _line(number: int, row: AlertRow | NoticeRow, what: str, by: str, why: str, since: int, now: int) -> DeliveryRow:
    """A line of the feed, of what might have been told since an instant.

    Several posts may acknowledge an alert, so that line is named after the post, and rings nobody; what waited does not
    ring who has seen it meanwhile.
    """
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
        department=row.department,
        feed_only=now - since > telling.STALE_MS,
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
