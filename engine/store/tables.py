"""The tables, the same on SQLite and PostgreSQL.

Bodies are canonical JSON as text, instants integer milliseconds UTC, days local YYYYMMDD, paths `/root/.../leaf/`.

On SQLite a table of short rows is its own index. The large tables of long rows are not: a page that leads to others
would hold no more than ten whole rows, so that an event wrote into two or three pages of each, and a row of more than a
quarter of a page takes one of its own. The number of a line of the feed is SQLite's own number of the row.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Dialect, Index, Integer, MetaData, Table, Text, false, text
from sqlalchemy.types import TypeDecorator, TypeEngine

from engine.store import deflating
from workflows.case import AWAITED, TOTAL

metadata = MetaData()

BYTES = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in the order of its bytes on both databases, as Python orders it: ids, paths, keys."""


class DeflatedText(TypeDecorator[str]):
    """Text that SQLite may keep deflated, with the dictionary of a number. Statements that the store writes as text say
    so themselves: `engine.store.sql.text_of`, `engine.store.writes.as_stored`."""

    impl = Text
    cache_ok = True

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """The text."""
        return deflating.inflated(value)


def _key(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = BYTES) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _text(name: str) -> Column[Any]:
    return Column(name, BYTES, nullable=False, server_default="")


def _deflated(name: str, number: int) -> Column[Any]:
    kind = DeflatedText(number).with_variant(Text(collation="C"), "postgresql")
    return Column(name, kind, nullable=False, server_default="")


def _big(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default="0")


UNBORN = f"state = '{AWAITED}' AND next_at IS NOT NULL"
"""Of a case: its report is missing, and it holds early events."""

CHAIN_DUE = "chain_due"
"""Of a letter or an act: it is not a link of its chain yet, or was written again since."""

meta = Table("meta", metadata, _key("name"), _text("value"))
"""Single values of the installation, such as the number of partitions and the epoch of the alert feed."""

partitions = Table(
    "partitions",
    metadata,
    _key("partition", Integer),
    _big("position"),  # next inbox position to decide
    _big("clock"),  # arrival of the last record decided, or released for
    _big("n"),  # last step's number
    _big("version"),  # +1 per transaction: the fence
    _text("halted"),  # why it stands still; empty: it runs
    _text("packs"),  # JSON: [[hash, arrival], ...] as activated
    _big("standing"),  # how many of its cases stand
    _text("silences"),  # JSON: [[from, to], ...], arrivals that lie far apart
    _text("unheard"),  # JSON: {survivor: [merged, ...], ...}, what an earlier release told no survivor
    _text("archives"),  # JSON: [[before, position], ...], of the records that archived what had ended before an instant
)

inbox = Table(
    "inbox",
    metadata,
    _key("partition", Integer),
    _key("position", BigInteger),
    _big("stamp"),
    _text("kind"),  # event, tick, pack, release, archive
    _text("principal"),
    _text("body"),
)

settlements = Table(
    "settlements",
    metadata,
    _key("partition", Integer),
    _key("position", BigInteger),
    _text("verdict"),  # of skip, undecidable, stamp:<ms>, quarantine:<case>@<seq>; several with blanks between
    _text("detail"),
)

seen = Table(
    "seen",
    metadata,
    _key("partition", Integer),
    _key("source"),
    _key("id"),
    _key("home"),  # empty, like the actor, in a row of a release that kept neither: it answers for its own case only
    _key("actor"),
    _text("digest"),  # in every form, with blanks between
    _big("arrival"),
    _big("position"),
    _text("outcome"),  # done, parked, refused
    _text("reason"),
    _text("field"),
    _text("detail"),
    _text("case_id"),
    _big("decided"),  # which outcome of its partition this one is, in the order in which they were decided
    _big("decided_at"),  # arrival at which it was
    _text("principal"),  # who sent it; empty in a row of an earlier release
)
Index(
    "seen_source",
    seen.c.source,
    seen.c.partition,
    seen.c.decided,
    sqlite_where=text("decided <> 0"),
    postgresql_where=text("decided <> 0"),
)
"""Every row has such a number. The condition keeps PostgreSQL from reading all events of a source by this index, which
is smaller than the key, where one event is looked for: only who asks in the order of numbers says it."""

cases = Table(
    "cases",
    metadata,
    _key("id"),
    Column("partition", Integer, nullable=False),
    _text("definition"),
    _text("state"),
    Column("open", Boolean, nullable=False),
    Column("level", Integer, nullable=False),
    _text("path"),
    _text("grid"),  # owner's grid
    _text("department"),  # owner's department
    _text("category"),
    _text("grp"),
    Column("key", BYTES),  # correlation key while open
    Column("cycle", Integer, nullable=False),
    _big("seq"),
    _big("opened_at"),
    Column("closed_at", BigInteger),
    Column("next_at", BigInteger),
    Column("due_at", BigInteger),
    Column("provisional", Boolean, nullable=False),
    _text("body"),
    _text("holder"),  # who must act: a grid, or a post whose work it is; empty: nobody
    _text("holder_department"),
    _text("short_number"),
    _text("reference"),  # the number of the sender's own record
    _text("reporter"),  # the post that reported it
    _text("campaign"),  # of the pack, of which it counts as a part
)
Index(
    "cases_next",
    cases.c.partition,
    cases.c.next_at,
    cases.c.id,
    sqlite_where=text("next_at IS NOT NULL"),
    postgresql_where=text("next_at IS NOT NULL"),
)
Index("cases_key", cases.c.key, sqlite_where=text("key IS NOT NULL"), postgresql_where=text("key IS NOT NULL"))
Index(
    "cases_due",
    cases.c.definition,
    cases.c.due_at,
    cases.c.id,
    sqlite_where=text("due_at IS NOT NULL"),
    postgresql_where=text("due_at IS NOT NULL"),
)
Index(
    "cases_undated",
    cases.c.definition,
    cases.c.id,
    sqlite_where=text("open AND due_at IS NULL"),
    postgresql_where=text("open AND due_at IS NULL"),
)
Index(
    "cases_unborn",
    cases.c.id,
    sqlite_where=text(UNBORN),
    postgresql_where=text(UNBORN),
)
Index(
    "cases_held",
    cases.c.holder,
    cases.c.holder_department,
    cases.c.due_at,
    cases.c.id,
    sqlite_where=text("holder <> ''"),
    postgresql_where=text("holder <> ''"),
)
Index(
    "cases_held_by_department",
    cases.c.holder_department,
    cases.c.due_at,
    cases.c.id,
    sqlite_where=text("holder_department <> ''"),
    postgresql_where=text("holder_department <> ''"),
)
Index(
    "cases_reporter",
    cases.c.reporter,
    cases.c.definition,
    cases.c.due_at,
    cases.c.id,
    sqlite_where=text("reporter <> ''"),
    postgresql_where=text("reporter <> ''"),
)
Index(
    "cases_campaign",
    cases.c.campaign,
    cases.c.definition,
    cases.c.id,
    sqlite_where=text("campaign <> ''"),
    postgresql_where=text("campaign <> ''"),
)
Index("cases_opened", cases.c.definition, cases.c.opened_at, cases.c.id)
Index(
    "cases_state",
    cases.c.definition,
    cases.c.state,
    cases.c.id,
    sqlite_where=text("due_at IS NULL"),
    postgresql_where=text("due_at IS NULL"),
)
Index("cases_short_number", cases.c.short_number)
Index(
    "cases_reference",
    cases.c.reference,
    cases.c.id,
    sqlite_where=text("reference <> ''"),
    postgresql_where=text("reference <> ''"),
)

shared_work = Table(
    "shared_work",
    metadata,
    _key("case_id"),
    _key("level", Integer),  # of a grid that may act, on a case on which several may
    _text("grid"),
    Column("due_at", BigInteger),  # the deadline of what it has to do
    sqlite_with_rowid=False,
)
Index("shared_work_of", shared_work.c.grid, shared_work.c.due_at, shared_work.c.case_id)

open_counts = Table(
    "open_counts",
    metadata,
    _key("partition", Integer),
    _key("definition"),
    _key("what"),  # state, place, holder, late: by what these cells tell cases apart
    _key("level", Integer),  # of the owner
    _key("state"),
    _key("path"),  # of the place, or of who must act
    _key("department"),
    _key("post"),  # who must act, where that is one post
    _key("category"),
    _key("grp"),
    _key("late"),  # missed, ahead, none: the deadline of the whole case, or any that runs
    _key("hour", BigInteger),  # of the earliest deadline that was missed, since 1970
    _big("value"),
    sqlite_with_rowid=False,
)
Index("open_counts_what", open_counts.c.what, open_counts.c.definition)

parked = Table(
    "parked",
    metadata,
    _key("case_id"),
    _key("principal"),  # of those with quotas
    _text("home"),
    Column("partition", Integer, nullable=False),
    Column("number", Integer, nullable=False),  # of its events that wait with the case
    sqlite_with_rowid=False,
)
Index("parked_of", parked.c.home, parked.c.principal, parked.c.number)

facts = Table(
    "facts",
    metadata,
    _key("partition", Integer),
    _key("n", BigInteger),
    _text("case_id"),
    _big("seq"),
    _big("at"),
    Column("day", Integer, nullable=False),
    _text("policy"),
    _text("path"),
    _text("category"),
    _text("grp"),
    _text("department"),
    _text("post"),
    _text("cause"),
    _deflated("body", deflating.STEPS),
    _text("definition"),  # empty before the report of its case
)
Index("facts_case", facts.c.case_id, facts.c.seq)

standing = Table(
    "standing",
    metadata,
    _key("case_id"),
    Column("partition", Integer, nullable=False),
    _big("position"),  # of the first record that is not decided for this case; firings before it may be owed too
    _big("arrival"),  # since when it stands
    Column("next_at", BigInteger),  # what is due next, hidden from the column of that name in `cases`
    _text("pack"),  # hash of the pack that was active before `position`
    _text("place"),  # where a rule failed: module:function:line
    _text("kind"),  # class of the error
    _text("voice"),  # who said what it failed on
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("asked", Boolean, nullable=False, server_default=false()),  # an operator wants another try
    sqlite_with_rowid=False,
)
Index("standing_partition", standing.c.partition, standing.c.position)

waiting = Table(
    "waiting",
    metadata,
    _key("partition", Integer),
    _key("position", BigInteger),
    _key("turn", BigInteger),  # order within a position, by the number of steps made before
    _text("case_id"),  # empty: a pack's activation, which concerns all that stand
    _big("arrival"),
    _text("kind"),  # event, release, pack, send
    _text("principal"),
    _text("body"),
    _text("nearby"),  # JSON: cases under a report's correlation key at its arrival; empty: not known
    sqlite_with_rowid=False,
)
Index("waiting_case", waiting.c.case_id, waiting.c.partition, waiting.c.position)

arrivals = Table(
    "arrivals",
    metadata,
    _key("partition", Integer),
    _key("position", BigInteger),  # of the first record of a slice that passed while a case stood
    _text("body"),  # JSON: where the arrival changes, steps of position and arrival in turns
    sqlite_with_rowid=False,
)

outgoing = Table(
    "outgoing",
    metadata,
    _key("partition", Integer),
    _key("n", BigInteger),  # of the step in which it was said
    _key("k", Integer),  # which of the sends of this step
    _text("case_id"),  # who said it
    _big("seq"),
    _text("target"),
    _big("arrival"),  # of the step, ms since 1970
    _text("body"),  # the record, as the log of the target's partition takes it
    sqlite_with_rowid=False,
)
"""What cases said to cases of other homes, and the log does not have yet."""

heard = Table(
    "heard",
    metadata,
    _key("case_id"),
    _key("source"),  # the case that said it
    _key("id"),  # the number of its step, and of the send in it: 7.1
    Column("partition", Integer, nullable=False),
    _big("position"),  # of the record with which it came first
    sqlite_with_rowid=False,
)
"""What cases of other homes have said to a case: it is taken once, whenever it comes again."""

packs = Table("packs", metadata, _key("hash"), _text("code"), _text("title"), _text("body"))

sealed = Table(
    "sealed",
    metadata,
    _key("token"),
    _text("body"),  # empty: erased
    _text("subject"),  # the case that it is about; empty: the event named none
    _big("erased_at"),  # by the wall clock; 0: it was not, or by an earlier release
    _text("salt"),  # with which the body is in the chain; empty: it is not yet, or was erased
)
Index("sealed_subject", sealed.c.subject)

dead_letters = Table(
    "dead_letters",
    metadata,
    _key("id"),
    _big("at"),
    Column("partition", Integer),
    Column("position", BigInteger),
    _text("reason"),
    _text("field"),
    _text("detail"),
    _text("source"),
    _text("event_id"),
    _text("type"),
    _text("case_id"),
    _text("principal"),
    _text("token"),  # of the sealed bytes
    _text("replayed"),  # how it ended: empty while open
    Column("published", Boolean, nullable=False, server_default=false()),  # it is on its topic
    _big("size"),  # bytes that are sealed of it; 0: none, or not any more
    _big("kept_at"),  # when it was kept last, by the wall clock
    _big("decided"),  # of a conflict, as in `seen`; of what an intake refused, its number among these; 0: of any other
    Column("chain_due", Boolean, nullable=False, server_default=false()),  # it is to become a link of its chain
)
Index("dead_letters_unchained", dead_letters.c.id, sqlite_where=text(CHAIN_DUE), postgresql_where=text(CHAIN_DUE))
Index("dead_letters_at", dead_letters.c.at, dead_letters.c.id)
Index(
    "dead_letters_kept",
    dead_letters.c.kept_at,
    dead_letters.c.id,
    dead_letters.c.size,
    sqlite_where=text("size > 0"),
    postgresql_where=text("size > 0"),
)
Index(
    "dead_letters_kept_of",
    dead_letters.c.principal,
    dead_letters.c.kept_at,
    dead_letters.c.id,
    dead_letters.c.size,
    sqlite_where=text("size > 0"),
    postgresql_where=text("size > 0"),
)
Index(
    "dead_letters_conflicts",
    dead_letters.c.source,
    dead_letters.c.partition,
    dead_letters.c.decided,
    sqlite_where=text("decided <> 0"),
    postgresql_where=text("decided <> 0"),
)
Index(
    "dead_letters_unpublished",
    dead_letters.c.at,
    dead_letters.c.id,
    sqlite_where=text("NOT published"),
    postgresql_where=text("NOT published"),
)

people = Table(
    "people",
    metadata,
    _key("digest"),  # of a token
    _text("name"),  # of the principal
    _text("post"),
    _text("reads"),  # JSON, as in the file of principals; empty: by the role of the post
    _big("issued_at"),
    _big("expires_at"),
    _text("ended"),  # rotated or revoked; empty: it ends by itself
    _big("change"),  # number of the change that wrote it
)
Index("people_change", people.c.change)
Index("people_post", people.c.post, people.c.issued_at)

audit = Table(
    "audit",
    metadata,
    _key("id"),
    _big("at"),
    _text("who"),
    _text("act"),  # sealed.read, incident.erased, ...
    _text("object"),  # a case, a letter, a record, a hash
    _text("via"),  # cli, http
    _text("outcome"),
    Column("chain_due", Boolean, nullable=False, server_default=false()),  # it is to become a link of its chain
)
Index("audit_at", audit.c.at, audit.c.id)
Index("audit_unchained", audit.c.id, sqlite_where=text(CHAIN_DUE), postgresql_where=text(CHAIN_DUE))

chains = Table(
    "chains",
    metadata,
    _key("name"),  # steps/0, letters, acts
    _key("epoch", Integer),  # 1; each restore begins the next one
    _big("begun"),  # number of the link before its first one
    _big("begun_at"),  # by the wall clock
    _text("note"),  # JSON: what it begins with, which its first hash is of
    _big("n"),  # of its last link
    _text("hash"),  # of its last link
)
"""Chains of hashes, with their ends. A chain goes on in its latest epoch."""

chain_links = Table(
    "chain_links",
    metadata,
    _key("name"),
    _key("n", BigInteger),  # of a step its own number; else dense from 1
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("form", Integer, nullable=False, server_default="0"),  # in which it was hashed; 0: it had left before
    _text("key"),  # of a letter or an act
    _text("item"),  # digest of the row
    _text("sealed"),  # digest of what lay sealed of it and of the salt; empty: nothing did
    _text("mark"),  # exempted, refused; empty: nothing of that kind
    _big("at"),  # when it was chained, by the wall clock
    _text("hash"),
    _big("number"),  # in the feed over all chains, dense from 1
    sqlite_with_rowid=False,
)
Index("chain_links_number", chain_links.c.number)
Index(
    "chain_links_marked",
    chain_links.c.number,
    sqlite_where=text("mark <> ''"),
    postgresql_where=text("mark <> ''"),
)

anchors = Table(
    "anchors",
    metadata,
    _key("number", BigInteger),
    _big("at"),  # by the wall clock
    _text("body"),  # the line, as it is told
    Column("filed", Boolean, nullable=False, server_default=false()),
    Column("published", Boolean, nullable=False, server_default=false()),
)
"""Where the chains stood once a day, as it was told to whoever keeps it elsewhere."""

verifications = Table(
    "verifications",
    metadata,
    _key("id"),
    _big("at"),  # when it began, by the wall clock
    _big("ended_at"),
    _text("command"),
    _text("who"),
    _text("outcome"),  # clean, findings, failed
    _big("findings"),
    _text("counts"),  # JSON: findings by what they are of
)

positions = Table("positions", metadata, _key("consumer"), _key("partition", Integer), _big("n"))

contributions = Table(
    "contributions", metadata, _key("case_id"), Column("partition", Integer, nullable=False), _text("body")
)

archives = Table(
    "archives",
    metadata,
    _key("name"),  # of the file, which says what it must be
    Column("partition", Integer, nullable=False),
    _big("before"),  # the cases in it had ended before this instant
    _big("cases"),
    _big("steps"),
    _big("letters"),
    _big("size"),  # bytes of the file
    _text("digest"),  # SHA-256 of the file, in hex
    _big("written_at"),  # by the wall clock
)

archived_cases = Table(
    "archived_cases",
    metadata,
    _key("id"),
    Column("partition", Integer, nullable=False),
    _text("definition"),
    _text("short_number"),
    _text("reference"),
    _text("state"),
    _text("path"),
    _big("ended_at"),
    _text("archive"),  # the name of the file in which it lies
    sqlite_with_rowid=False,
)
Index("archived_cases_archive", archived_cases.c.archive, archived_cases.c.id)
Index("archived_cases_short_number", archived_cases.c.short_number, archived_cases.c.id)
Index(
    "archived_cases_reference",
    archived_cases.c.reference,
    archived_cases.c.id,
    sqlite_where=text("reference <> ''"),
    postgresql_where=text("reference <> ''"),
)

archived_figures = Table(
    "archived_figures",
    metadata,
    _key("definition"),
    _key("measure"),
    _key("day", Integer),
    _key("path"),
    _key("department"),
    _key("category"),
    _key("grp"),
    _key("post"),
    _key("at", BigInteger),  # arrival of what has changed the cell
    _big("value"),  # by how much
    sqlite_with_rowid=False,
)

figures = Table(
    "figures",
    metadata,
    _key("definition"),
    _key("measure"),
    _key("day", Integer),
    _key("path"),
    _key("department"),
    _key("category"),
    _key("grp"),
    _key("post"),
    _big("value"),
    sqlite_with_rowid=False,
)

untold = Table(
    "untold",
    metadata,
    _key("partition", Integer),
    _key("n", BigInteger),  # of the last step that a transaction of the fold took in
    _text("cells"),  # JSON: keys of the figures that it changed, which are not published yet
)

outcomes = Table(
    "outcomes",
    metadata,
    _key("case_id"),
    _key("clock"),
    _key("level", Integer),
    _key("cycle", Integer),
    _key("target", Integer),
    Column("partition", Integer, nullable=False),
    _text("path"),
    _text("department"),
    _text("category"),
    _text("grp"),
    _text("post"),
    _big("started"),
    Column("due", BigInteger),
    _big("stopped"),
    _big("arrival"),
    Column("day", Integer, nullable=False),
    _text("result"),
    _text("why"),
    _big("elapsed"),
    _text("definition"),
    _text("charged_path"),  # of the unit that is charged, as `path` is of the problem
    _text("charged_department"),
    _text("charged_post"),  # where the work was one post's
    _big("consumed"),  # in the limit's own kind of time
    Column("claimed", Boolean, nullable=False, server_default=false()),  # on time by the sender's word alone
    _text("unit"),  # the responsible unit, where the order of the clock named one
    Column("lapsed", Boolean, nullable=False, server_default=false()),  # its deadline was missed, whatever the result
    Column("reopened_at", BigInteger),  # of the whole case: the arrival at which it was taken up again
    Column("exempted", BigInteger),  # the arrival at which that was exempted
)
Index("outcomes_day", outcomes.c.clock, outcomes.c.day)
LENGTHS_MS = tuple(3_600_000 * 4**k for k in range(8))
"""An hour, four hours, ... 683 days: classes of how long a case was known to be open."""
SPAN = f"(CASE {' '.join(f'WHEN arrival - started < {ms} THEN {k}' for k, ms in enumerate(LENGTHS_MS))} ELSE 8 END)"
"""The SQL of the class of an outcome. An index has it: change neither."""
WHOLE = f"clock = '{TOTAL}'"
"""Of an outcome: it is of the clock of the whole case."""
Index("outcomes_stood", text(SPAN), outcomes.c.started, sqlite_where=text(WHOLE), postgresql_where=text(WHOLE))

alerts = Table(
    "alerts",
    metadata,
    _key("id"),
    Column("partition", Integer, nullable=False),
    _text("case_id"),
    _text("kind"),
    _text("clock"),
    Column("level", Integer, nullable=False),
    Column("cycle", Integer, nullable=False),
    _text("path"),
    _text("category"),
    _text("recipients"),  # JSON list of posts
    _big("due_at"),
    Column("due", BigInteger),
    _big("raised_at"),  # arrival
    Column("not_before", BigInteger),
    _text("status"),  # firing, withdrawn, resolved
    Column("ended_at", BigInteger),
    _text("ended_by"),
    _text("definition"),
    Column("acknowledged_by", BYTES, nullable=False, server_default="[]"),  # JSON list of posts, sorted
    _text("department"),
)
Index("alerts_case", alerts.c.case_id, alerts.c.clock)
Index("alerts_raised", alerts.c.raised_at, alerts.c.id)
Index(
    "alerts_waiting",
    alerts.c.not_before,
    alerts.c.id,
    sqlite_where=text("not_before IS NOT NULL"),
    postgresql_where=text("not_before IS NOT NULL"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _key("number", BigInteger().with_variant(Integer, "sqlite")),  # dense: the feed's own numbering
    _text("alert"),
    _text("what"),  # firing, acknowledged, withdrawn, resolved
    _text("path"),
    _text("channel"),
    _text("recipients"),
    _text("reason"),
    _big("told_at"),
    _deflated("body", deflating.LINES),
    _text("definition"),
)

channel_lines = Table(
    "channel_lines",
    metadata,
    _key("channel"),
    _key("id"),  # of the line's delivery to a post: the same each time
    _big("number"),  # of the line in the feed
    _text("alert"),
    _text("what"),
    _text("case_id"),
    _text("path"),
    _text("definition"),
    _text("post"),
    _text("recipient"),  # the post that is written to; empty: whoever reads the channel
    _text("route"),  # why this channel tells it
    _big("told_at"),  # in the feed
    _big("due_at"),  # when the channel tells it
    Column("joins", Boolean, nullable=False, server_default=false()),  # an earlier message may take it along
    _text("status"),  # waiting, grouped, sent, given_up, overtaken, too_old
    _text("message"),  # in which it goes
    _text("why"),  # it ended without one
    sqlite_with_rowid=False,
)
Index(
    "channel_lines_waiting",
    channel_lines.c.channel,
    channel_lines.c.recipient,
    channel_lines.c.due_at,
    sqlite_where=text("status = 'waiting'"),
    postgresql_where=text("status = 'waiting'"),
)
Index("channel_lines_alert", channel_lines.c.channel, channel_lines.c.alert)
Index("channel_lines_message", channel_lines.c.channel, channel_lines.c.message)
Index("channel_lines_post", channel_lines.c.post, channel_lines.c.told_at)

channel_messages = Table(
    "channel_messages",
    metadata,
    _key("channel"),
    _key("id"),
    _text("recipient"),
    _text("route"),  # of the line that was due first
    _text("subject"),
    _text("body"),  # JSON: what is sent
    Column("lines", Integer, nullable=False, server_default="0"),
    _big("due_at"),
    _big("composed_at"),
    Column("tries", Integer, nullable=False, server_default="0"),
    _big("tried_at"),
    _big("next_at"),  # of the next try
    _text("status"),  # sending, sent, given_up
    _text("reply"),  # what came of the last try
    sqlite_with_rowid=False,
)
Index(
    "channel_messages_open",
    channel_messages.c.channel,
    channel_messages.c.next_at,
    sqlite_where=text("status = 'sending'"),
    postgresql_where=text("status = 'sending'"),
)
Index("channel_messages_composed", channel_messages.c.composed_at, channel_messages.c.channel, channel_messages.c.id)

subscriptions = Table(
    "subscriptions",
    metadata,
    _key("id"),  # also the name of its channel, in `positions`, `channel_lines` and `channel_messages`
    _text("principal"),
    _text("name"),  # as its principal calls it
    _text("kind"),  # webhook or stream
    _text("url"),  # empty once it has ended; so are the secrets
    _text("secret"),
    _text("old_secret"),  # signs along until an instant
    _big("old_until"),
    _text("asks"),  # JSON: which lines for which posts
    Column("wait_s", Integer, nullable=False, server_default="0"),  # how long a line waits for others
    _big("made_at"),
    _big("ended_at"),  # 0: it stands
    _text("why"),  # it ended
    _big("change"),  # number of the change that wrote it
    sqlite_with_rowid=False,
)
Index("subscriptions_change", subscriptions.c.change)
Index("subscriptions_of", subscriptions.c.principal, subscriptions.c.name)

alerts_seen = Table(
    "alerts_seen",
    metadata,
    _key("alert"),  # or a notice
    _key("post"),
    _big("seen_at"),  # by the wall clock
    _text("principal"),  # who said so
    sqlite_with_rowid=False,
)

notices = Table(
    "notices",
    metadata,
    _key("id"),  # case, move and number of its step
    Column("partition", Integer, nullable=False),
    _text("case_id"),
    _text("move"),  # assigned, copied, ...
    _text("definition"),
    _text("path"),
    _text("category"),
    _text("recipients"),  # JSON list of posts
    _big("raised_at"),  # arrival
    Column("not_before", BigInteger),
    Column("daily", Boolean, nullable=False, server_default=false()),
    _big("number"),  # of its line in the feed; 0: not told yet
)
Index("notices_raised", notices.c.raised_at, notices.c.id)
Index(
    "notices_untold",
    notices.c.not_before,
    notices.c.id,
    sqlite_where=text("number = 0"),
    postgresql_where=text("number = 0"),
)

files = Table(
    "files",
    metadata,
    _key("sha256"),
    _key("principal"),  # who has sent all of it
    _big("size"),
    _text("media"),  # its type, by content
    _big("sent_at"),  # when it was sent, or named again, last
    sqlite_with_rowid=False,
)
"""Photos and other files that are kept, a row for each principal that has sent one. Their bytes lie in a store."""
Index("files_sent", files.c.sent_at, files.c.sha256)

file_references = Table(
    "file_references",
    metadata,
    _key("sha256"),
    _key("case_id"),
    _key("principal"),  # whose event says so; empty: the engine's own, who needs to prove nothing
    _big("at"),  # arrival
    Column("erased", Boolean, nullable=False, server_default=false()),  # the words of the case were
    sqlite_with_rowid=False,
)
"""Which cases refer to which files, of evidence that names no address."""
Index("file_references_case", file_references.c.case_id, file_references.c.sha256)
