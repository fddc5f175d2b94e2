"""What channels have told, and what they have still to tell: lines of the feed by post, and the messages they go in.

A line is `waiting` until it goes into a message (`grouped`), and ends as that does: `sent` or `given_up`. One that
nobody needs any more is `overtaken`, one that was not told within a day `too_old`. A message is `sending` until then.
"""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.errors import StaleWriter
from engine.store import writes
from engine.store.alerts import DeliveryRow, last_number
from engine.store.sql import among, execute, execute_many, text_of
from engine.store.tables import channel_lines, channel_messages

PREFIX = "channel."
"""How the name begins under which a channel keeps its place in the feed, in `positions`."""
SUBSCRIPTION = "sub_"
"""How the name of a subscription begins, which is a channel in these tables. No channel of a file has such a name."""


class ChannelLine(Struct):
    """A line of the feed on its way to one post by one channel. Instants in ms UTC."""

    channel: str
    id: str
    number: int
    alert: str
    what: str
    case_id: str
    path: str
    definition: str
    post: str
    recipient: str
    route: str
    told_at: int
    due_at: int
    joins: bool
    status: str = "waiting"
    message: str = ""
    why: str = ""


class ChannelMessage(Struct):
    """A message: one request to a channel. Instants in ms UTC; `body` is JSON."""

    channel: str
    id: str
    recipient: str
    route: str
    subject: str
    body: str
    lines: int
    due_at: int
    composed_at: int
    tries: int = 0
    tried_at: int = 0
    next_at: int = 0
    status: str = "sending"
    reply: str = ""


class ChannelState(Struct):
    """How a channel stands: lines of the feed that it has not taken in, lines that wait (and since when the first of
    them is due), messages under way, what came of the last one, and the last line that it has taken in."""

    channel: str
    behind: int = 0
    waiting: int = 0
    due_at: int | None = None
    sending: int = 0
    sent: int = 0
    given_up: int = 0
    tried_at: int | None = None
    reply: str = ""
    taken: int = 0


_LINE = ", ".join(ChannelLine.__struct_fields__)
_MESSAGE = ", ".join(ChannelMessage.__struct_fields__)


# ---- its place in the feed ----------------------------------------------------------------------------------


def begin(connection: Connection, channel: str) -> None:
    """A channel that is new begins after the last line that there is: it waits for news, not for years of history."""
    sql = """
        INSERT INTO positions (consumer, partition, n) SELECT ?, 0, coalesce(max(number), 0) FROM deliveries WHERE true
        ON CONFLICT (consumer, partition) DO NOTHING"""
    execute(connection, sql, PREFIX + channel)


def place(connection: Connection, channel: str) -> tuple[int, int]:
    """The number of the last line that a channel has taken in, and that of the feed's last one."""
    sql = """SELECT coalesce((SELECT n FROM positions WHERE consumer = ? AND partition = 0), 0),
                    (SELECT coalesce(max(number), 0) FROM deliveries)"""
    taken, last = execute(connection, sql, PREFIX + channel).one()
    return taken, last


def move_on(connection: Connection, channel: str, was: int, upto: int) -> None:
    """Move the place on from where it was read. StaleWriter if it is elsewhere by now: another process tells."""
    sql = "UPDATE positions SET n = ? WHERE consumer = ? AND partition = 0 AND n = ?"
    if execute(connection, sql, upto, PREFIX + channel, was).rowcount != 1:
        raise StaleWriter(f"channel {channel} was told beyond line {was} by another process")


def names(connection: Connection) -> list[str]:
    """The channels of the file that have a place in the feed."""
    return [name for name in places(connection) if not name.startswith(SUBSCRIPTION)]


def places(connection: Connection) -> dict[str, int]:
    """How far each channel and each subscription has taken the feed in."""
    sql = "SELECT consumer, n FROM positions WHERE consumer >= ? AND consumer < ? ORDER BY consumer"
    return {name.removeprefix(PREFIX): n for name, n in execute(connection, sql, PREFIX, f"{PREFIX[:-1]}/")}


def pass_over(connection: Connection, channels: Collection[str], upto: int) -> None:
    """Move the places on of those for whom there is nothing in the feed up to a number."""
    condition, wanted = among(connection, "consumer", [PREFIX + channel for channel in channels])
    execute(connection, f"UPDATE positions SET n = ? WHERE {condition} AND n < ?", upto, wanted, upto)


def close(connection: Connection, channel: str, now: int, why: str = "the channel was removed") -> None:
    """A channel that is no more has no place, and tells nothing that waited for it."""
    execute(connection, "DELETE FROM positions WHERE consumer = ?", PREFIX + channel)
    sql = "UPDATE channel_lines SET status = 'given_up', why = ? WHERE channel = ? AND status IN ('waiting', 'grouped')"
    execute(connection, sql, why, channel)
    sql = """UPDATE channel_messages SET status = 'given_up', tried_at = ?, reply = ?
             WHERE channel = ? AND status = 'sending'"""
    execute(connection, sql, now, why, channel)


# ---- lines --------------------------------------------------------------------------------------------------


def known_lines(connection: Connection, channel: str, alerts: Collection[str]) -> list[ChannelLine]:
    """What a channel has or had to tell of these alerts."""
    condition, wanted = among(connection, "alert", alerts)
    sql = f"SELECT {_LINE} FROM channel_lines WHERE channel = ? AND {condition} ORDER BY number, id"
    return [ChannelLine(*row) for row in execute(connection, sql, channel, wanted)]


def write_lines(connection: Connection, rows: Sequence[ChannelLine]) -> None:
    """New lines. Those that are there stay as they are."""
    writes.insert_missing(connection, channel_lines, rows)


def end_lines(connection: Connection, channel: str, ids: Iterable[str], status: str, why: str) -> None:
    """Lines that waited end without a message."""
    rows = [(status, why, channel, id_) for id_ in ids]
    if rows:
        sql = "UPDATE channel_lines SET status = ?, why = ? WHERE channel = ? AND id = ? AND status = 'waiting'"
        execute_many(connection, sql, rows)


def put_off(connection: Connection, channel: str, rows: Sequence[ChannelLine]) -> None:
    """Lines that waited wait until another instant."""
    changes = [(row.due_at, channel, row.id) for row in rows]
    if changes:
        execute_many(connection, "UPDATE channel_lines SET due_at = ? WHERE channel = ? AND id = ?", changes)


def first_due(connection: Connection, channel: str) -> ChannelLine | None:
    """The waiting line that is due first."""
    sql = f"""SELECT {_LINE} FROM channel_lines WHERE channel = ? AND status = 'waiting'
              ORDER BY due_at, number, id LIMIT 1"""
    for row in execute(connection, sql, channel):
        return ChannelLine(*row)
    return None


def read_waiting(connection: Connection, channel: str, recipient: str, now: int, limit: int) -> list[ChannelLine]:
    """What a recipient may be told in one message: what is due, and what may join it; in the order of the feed."""
    sql = f"""SELECT {_LINE} FROM channel_lines WHERE channel = ? AND recipient = ? AND status = 'waiting'
              AND (due_at <= ? OR joins) ORDER BY number, id LIMIT ?"""
    return [ChannelLine(*row) for row in execute(connection, sql, channel, recipient, now, limit)]


def feed_bodies(connection: Connection, numbers: Collection[int]) -> dict[int, DeliveryRow]:
    """These lines of the feed."""
    condition, wanted = among(connection, "number", numbers)
    columns = ", ".join(DeliveryRow.__struct_fields__[:-1])
    sql = f"SELECT {columns}, {text_of(connection, 'body')} FROM deliveries WHERE {condition}"
    return {row[0]: DeliveryRow(*row) for row in execute(connection, sql, wanted)}


# ---- messages -----------------------------------------------------------------------------------------------


def write_message(connection: Connection, message: ChannelMessage, ids: Sequence[str]) -> None:
    """A new message, and the lines that go in it."""
    writes.insert(connection, channel_messages, [message])
    sql = """UPDATE channel_lines SET status = 'grouped', message = ? WHERE channel = ? AND id = ?
             AND status = 'waiting'"""
    execute_many(connection, sql, [(message.id, message.channel, id_) for id_ in ids])


def next_message(connection: Connection, channel: str) -> ChannelMessage | None:
    """The message under way whose next try comes first."""
    sql = f"""SELECT {_MESSAGE} FROM channel_messages WHERE channel = ? AND status = 'sending'
              ORDER BY next_at, composed_at, id LIMIT 1"""
    for row in execute(connection, sql, channel):
        return ChannelMessage(*row)
    return None


def subscriptions_due(connection: Connection, now: int) -> list[str]:
    """Subscriptions with a message under way whose next try is due."""
    sql = """SELECT DISTINCT channel FROM channel_messages WHERE status = 'sending' AND next_at <= ?
             AND channel >= ? AND channel < ?"""
    upper = SUBSCRIPTION[:-1] + chr(ord(SUBSCRIPTION[-1]) + 1)
    return [name for (name,) in execute(connection, sql, now, SUBSCRIPTION, upper)]


def lines_of(connection: Connection, message: ChannelMessage) -> list[ChannelLine]:
    """The lines that go in a message."""
    sql = f"SELECT {_LINE} FROM channel_lines WHERE channel = ? AND message = ? ORDER BY number, id"
    return [ChannelLine(*row) for row in execute(connection, sql, message.channel, message.id)]


def record(connection: Connection, message: ChannelMessage) -> None:
    """What came of a try. The lines of a message that has ended end with it."""
    sql = """UPDATE channel_messages SET tries = ?, tried_at = ?, next_at = ?, status = ?, reply = ?
             WHERE channel = ? AND id = ? AND status = 'sending'"""
    changed = (message.tries, message.tried_at, message.next_at, message.status, message.reply)
    if execute(connection, sql, *changed, message.channel, message.id).rowcount and message.status != "sending":
        sql = "UPDATE channel_lines SET status = ? WHERE channel = ? AND message = ? AND status = 'grouped'"
        execute(connection, sql, message.status, message.channel, message.id)


def take_apart(connection: Connection, message: ChannelMessage) -> None:
    """A message is not sent as it is: its lines wait again. It is never tried anew."""
    sql = """UPDATE channel_messages SET status = 'given_up', due_at = 0, reply = ?
             WHERE channel = ? AND id = ? AND status = 'sending'"""
    why = "its lines were composed anew: some may not be told any more"
    execute(connection, sql, why, message.channel, message.id)
    sql = """UPDATE channel_lines SET status = 'waiting', message = '' WHERE channel = ? AND message = ?
             AND status = 'grouped'"""
    execute(connection, sql, message.channel, message.id)


def tried_since(connection: Connection, channel: str, since: int) -> list[int]:
    """The instants after `since` at which a channel was or may have been asked, in order."""
    sql = """SELECT CASE WHEN tried_at > composed_at THEN tried_at ELSE composed_at END AS at FROM channel_messages
             WHERE channel = ? AND (tried_at > ? OR composed_at > ?) ORDER BY at"""
    return [at for (at,) in execute(connection, sql, channel, since, since)]


def try_again(connection: Connection, channel: str, now: int) -> int:
    """Messages that were given up are tried anew. Returns how many."""
    sql = "SELECT id FROM channel_messages WHERE channel = ? AND status = 'given_up' AND due_at > 0"
    ids = [id_ for (id_,) in execute(connection, sql, channel)]
    for id_ in ids:
        sql = """UPDATE channel_messages SET status = 'sending', tries = 0, due_at = ?, next_at = ?
                 WHERE channel = ? AND id = ?"""
        execute(connection, sql, now, now, channel, id_)
        sql = "UPDATE channel_lines SET status = 'grouped', why = '' WHERE channel = ? AND message = ?"
        execute(connection, sql, channel, id_)
    return len(ids)


def forget(connection: Connection, before: int, limit: int) -> int:
    """Take away messages that have ended, and were composed before an instant, with their lines. Returns how many."""
    sql = """SELECT channel, id FROM channel_messages WHERE composed_at < ? AND status <> 'sending'
             ORDER BY composed_at LIMIT ?"""
    found = [tuple(row) for row in execute(connection, sql, before, limit)]
    if found:
        execute_many(connection, "DELETE FROM channel_lines WHERE channel = ? AND message = ?", found)
        execute_many(connection, "DELETE FROM channel_messages WHERE channel = ? AND id = ?", found)
    sql = "DELETE FROM channel_lines WHERE told_at < ? AND message = '' AND status <> 'waiting'"
    execute(connection, sql, before)
    return len(found)


# ---- what operators read ------------------------------------------------------------------------------------


def states(connection: Connection, channels: Sequence[str] = ()) -> list[ChannelState]:
    """How each channel stands: those that have a place in the feed, subscriptions apart, and those that are named."""
    return states_of(connection, sorted({*names(connection), *channels}))


def states_of(connection: Connection, channels: Sequence[str]) -> list[ChannelState]:
    """How each of these channels or subscriptions stands."""
    found = {name: ChannelState(name) for name in channels}
    placed = places(connection)
    last = last_number(connection)
    for name, state in found.items():
        state.taken = placed.get(name, 0)
        state.behind = max(0, last - placed[name]) if name in placed else 0
        sql = "SELECT count(*), min(due_at) FROM channel_lines WHERE channel = ? AND status = 'waiting'"
        state.waiting, state.due_at = execute(connection, sql, name).one()
        sql = "SELECT status, count(*) FROM channel_messages WHERE channel = ? GROUP BY status"
        counts = {status: count for status, count in execute(connection, sql, name)}
        state.sending, state.sent = counts.get("sending", 0), counts.get("sent", 0)
        state.given_up = counts.get("given_up", 0)
        sql = """SELECT tried_at, reply FROM channel_messages WHERE channel = ? AND tried_at > 0
                 ORDER BY tried_at DESC LIMIT 1"""
        for tried_at, reply in execute(connection, sql, name):
            state.tried_at, state.reply = tried_at, reply
    return list(found.values())


def delays(connection: Connection) -> list[tuple[str, int, int | None]]:
    """Of each channel that has a place in the feed: how many lines it has not taken in, and since when (ms UTC) the
    line or the message waits that has been due longest; None: nothing waits."""
    found = []
    for name in names(connection):
        taken, last = place(connection, name)
        sql = """SELECT min(due_at) FROM (
                     SELECT min(due_at) AS due_at FROM channel_lines WHERE channel = ? AND status = 'waiting'
                     UNION ALL
                     SELECT min(due_at) FROM channel_messages WHERE channel = ? AND status = 'sending') AS waiting"""
        found.append((name, max(0, last - taken), execute(connection, sql, name, name).scalar_one()))
    return found


class Told(Struct):
    """A line as a channel told it, with what came of its message."""

    line: ChannelLine
    tries: int
    tried_at: int
    reply: str


def listed(
    connection: Connection,
    *,
    channel: str = "",
    post: str = "",
    case: str = "",
    status: str = "",
    before: tuple[int, str, str] | None = None,
    limit: int = 100,
) -> list[Told]:
    """What channels told, the latest first; `before` is the (told_at, channel, id) where the last page ended."""
    terms, values = ["1 = 1"], list[object]()
    given = {"channel": channel, "post": post, "case_id": case, "status": status}
    for name, value in given.items():
        if value:
            terms.append(f"l.{name} = ?")
            values.append(value)
    if before is not None:
        terms.append("(l.told_at, l.channel, l.id) < (?, ?, ?)")
        values += before
    columns = ", ".join(f"l.{name}" for name in ChannelLine.__struct_fields__)
    sql = f"""SELECT {columns}, coalesce(m.tries, 0), coalesce(m.tried_at, 0), coalesce(m.reply, l.why)
              FROM channel_lines l LEFT JOIN channel_messages m ON m.channel = l.channel AND m.id = l.message
              WHERE {" AND ".join(terms)} ORDER BY l.told_at DESC, l.channel DESC, l.id DESC LIMIT ?"""
    return [Told(ChannelLine(*row[:-3]), *row[-3:]) for row in execute(connection, sql, *values, limit)]
