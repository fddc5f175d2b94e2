"""Which lines of the feed a channel tells, to whom and when. Pure: instants are arguments, times of day those of the
pack.

1. Of the routes that lead to a channel the first one that matches a post tells it; so no channel tells twice.
2. A line is told `wait_s` after the feed told it, so that others can join it, and not in the quiet hours; of a digest
   at its next time. A repeat makes no message of its own before the next time of the digest, but joins one.
3. An alert that has ended, or that its post has acknowledged, before it was told is not told any more, nor that it
   ended. Who was told hears of the end.
4. A line that lies nowhere is of what is concealed (`workflows.definitions.shown_path`): it is written to the address
   of its post alone, and never into a room where others read.
5. What is older than a day when it would be told is told by no channel.
"""

from collections.abc import Callable, Iterable, Sequence

from consumers.channels.message import is_repeat
from consumers.channels.settings import Channel, ChannelFile, Route
from engine.store.alerts import DeliveryRow
from engine.store.channels import ChannelLine
from schemas.line_words import ENDED
from schemas.messages import Line
from workflows.clocks.limits import DAY_MS
from workflows.clocks.timescales import MINUTE_MS, Wall
from workflows.policy.index import Policy
from workflows.selection import selects_line, selects_post

NOWHERE = "/"
"""The place of what is concealed."""
URGED = "urged"
"""The move that a pack tells at any hour."""
STALE_MS = DAY_MS
"""Nobody is rung for what should have been told so long ago."""
HEARD = ("grouped", "sent")
"""A line of which its post has or may have heard."""
MayTell = Callable[[Line, str], bool]
"""Whether a line may be told that is for a post; a channel of the file tells what its routes say."""


class Routing:
    """The routes of one channel, under the active pack."""

    def __init__(
        self, config: ChannelFile, channel: Channel, register: Policy, may_tell: MayTell | None = None
    ) -> None:
        self.channel, self.may_tell = channel, may_tell
        self.routes = config.routes_of(channel.name)
        self._options = register.options
        self._wall: Wall = register.clock_of_days.wall

    def route_of(self, line: Line, post: str) -> Route | None:
        """The route by which a post is told a line; None: there is none, or the channel has no address for it."""
        if self.channel.kind in ("smtp", "http") and not (self.channel.everyone or post in self.channel.to):
            return None
        if line.path == NOWHERE and (self.channel.kind not in ("smtp", "http") or post not in self.channel.to):
            return None
        if self.may_tell is not None and not self.may_tell(line, post):
            return None
        return next((route for route in self.routes if matches(route, line, post)), None)

    def named(self, name: str) -> Route | None:
        """A route of this name; None: the file has none any more."""
        return next((route for route in self.routes if route.name == name), None)

    def due_at(self, route: Route, line: Line, told_at: int) -> int:
        """When a line is told that the feed told at an instant."""
        if route.digest or is_repeat(line):
            return self.next_digest(route, told_at)
        return self.after_quiet(route, line.alert, told_at + self.channel.wait_s * 1000)

    def next_digest(self, route: Route, instant: int) -> int:
        """The next time of the digest, at an instant or after it."""
        day = (instant + self._wall.offset(instant)) // DAY_MS
        times = (
            self._wall.reach(k * DAY_MS + at * MINUTE_MS) for k in (day, day + 1, day + 2) for at in route.digest_at
        )
        return next(at for at in times if at >= instant)

    def after_quiet(self, route: Route | None, alert: str, instant: int) -> int:
        """An instant, or the end of the quiet hours that it lies in: the route's, else those of the pack, which has
        clocks and moves that ring at night."""
        quiet = route.quiet if route is not None else None
        if quiet is None:
            if _clock_or_move(alert) in self._options.quiet_exempt or _clock_or_move(alert) == URGED:
                return instant
            quiet = self._options.quiet_from, self._options.quiet_to
        begin, end = (minute * MINUTE_MS for minute in quiet)
        day, of_day = divmod(instant + self._wall.offset(instant), DAY_MS)
        if begin < end and begin <= of_day < end:
            return self._wall.reach(day * DAY_MS + end)
        if begin > end and (of_day >= begin or of_day < end):  # over midnight
            return self._wall.reach((day + (of_day >= begin)) * DAY_MS + end)
        return instant

    def recipient(self, post: str) -> str:
        """Who is written to: the post, or whoever reads the channel."""
        return post if post in self.channel.to else ""


def _clock_or_move(alert: str) -> str:
    """What an alert or a notice is of, out of its id; nothing of a daily line."""
    parts = alert.split("|")
    return parts[1].partition(".")[0] if len(parts) > 1 else ""


def matches(route: Route, line: Line, post: str) -> bool:
    """Whether a route tells a line to a post."""
    return selects_line(route, line) and selects_post(route, post)


class Taken:
    """What a channel makes of new lines of the feed: `new` ones of its own, and those of before that are overtaken, by
    why. `known`: what it has or had to tell of the same alerts."""

    def __init__(self, routing: Routing, known: Iterable[ChannelLine]) -> None:
        self._routing = routing
        self._known: dict[str, list[ChannelLine]] = {}
        self._new: dict[str, ChannelLine] = {}
        self.overtaken: dict[str, list[str]] = {}
        for row in known:
            self._known.setdefault(row.alert, []).append(row)

    @property
    def new(self) -> Sequence[ChannelLine]:
        """The new lines, in the order of the feed."""
        return list(self._new.values())

    def take(self, row: DeliveryRow, line: Line) -> None:
        """The next line of the feed."""
        if line.what == "acknowledged":
            self._overtake(line.alert, line.by, "the post has acknowledged it")
        elif line.what in ENDED:
            for post, id_ in line.recipients.items():
                if not self._overtake(line.alert, post, "it ended before it was told") and self._heard(
                    line.alert, post
                ):
                    self._add(row, line, post, id_)
        else:
            for post, id_ in line.recipients.items():
                self._add(row, line, post, id_)

    def _add(self, row: DeliveryRow, line: Line, post: str, id_: str) -> None:
        route = self._routing.route_of(line, post)
        if line.feed_only or route is None:
            return
        fresh = ChannelLine(
            channel=self._routing.channel.name,
            id=id_,
            number=row.number,
            alert=line.alert,
            what=line.what,
            case_id=line.case,
            path=line.path,
            definition=line.definition,
            post=post,
            recipient=self._routing.recipient(post),
            route=route.name,
            told_at=row.told_at,
            due_at=self._routing.due_at(route, line, row.told_at),
            joins=not route.digest,
        )
        if any(known.id == id_ for known in self._known.get(line.alert, ())):
            return  # a feed that was told again after a doubted clock: the ids are the same
        self._known.setdefault(line.alert, []).append(fresh)
        self._new[id_] = fresh

    def _overtake(self, alert: str, post: str, why: str) -> bool:
        """Whether a firing that still waited for a post is overtaken now."""
        found = False
        for row in self._known.get(alert, ()):
            if row.post == post and row.what == "firing" and row.status == "waiting":
                row.status, row.why, found = "overtaken", why, True
                if row.id not in self._new:
                    self.overtaken.setdefault(why, []).append(row.id)
        return found

    def _heard(self, alert: str, post: str) -> bool:
        return any(
            row.post == post and row.what == "firing" and row.status in HEARD for row in self._known.get(alert, ())
        )
