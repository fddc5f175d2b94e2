"""What a message says: a subject that says who must do what until when, a line for each case, and a link.

1. A recipient has one message of several lines. Of one clock of a case only what was told last has a line: a repeat,
   or an end, says all that came before it.
2. What is overdue comes first, then what is due next, then notices, then what has ended. The subject is of the first of
   these, and says how many more there are.
3. Names are those of the active pack, so there is no personal data and no free text.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from engine.views.feed_words import codes_of, sentence
from engine.views.names import Names
from schemas.line_words import ALERT_ENDS, ENDED, MOVES, RUNGS
from schemas.messages import Line, Words
from schemas.short_numbers import short_number, spoken
from workflows.clocks.limits import DAY_MS
from workflows.definitions import CLOCKS, ORDERED

OVERDUE, DUE, NOTICE, OVER = range(4)
"""The ranks of lines: what is overdue comes first, what has ended last."""
SHOWN = 20
"""Cases that a message for people names; it says how many more there are."""


class ToldLine(NamedTuple):
    """A line of the feed, and the posts that this message tells it, with the ids of their deliveries."""

    line: Line
    ids: dict[str, str]


class MessageLine(Struct, frozen=True, omit_defaults=True):
    """What a message says of one line of the feed. Instants in ms UTC."""

    text: Words
    ids: dict[str, str]
    what: str
    alert: str
    case: str
    number: str
    definition: str
    kind: str
    clock: str
    level: int
    path: str
    due_at: int
    due: int | None = None
    on: str = ""
    link: str = ""


class Message(Struct, frozen=True, omit_defaults=True):
    """A message as it is kept, and sent each time. `posts`: the titles of those who are told; `count`: cases that it
    tells of, of which `lines` may name fewer."""

    id: str
    channel: str
    recipient: str
    at: int
    subject: Words
    posts: dict[str, str]
    lines: list[MessageLine]
    count: int
    link: str = ""


class LineGroup(NamedTuple):
    """What a subject says of some lines: their rank, and what they are."""

    rank: int
    zh: str
    en: str


def is_repeat(line: Line) -> bool:
    """Whether an alert repeats one that was told: the last part of its id counts from 0."""
    return line.what == "firing" and line.alert.rpartition("|")[2] not in ("0", line.alert)


def latest(told: Iterable[ToldLine]) -> list[ToldLine]:
    """Of each clock of a case what was told last; notices as they are."""
    kept: dict[object, ToldLine] = {}
    for number, each in enumerate(told):
        line = each.line
        key: object = number if line.what == "told" or not line.clock else (line.case, line.clock, line.level)
        before = kept.pop(key, None)
        kept[key] = ToldLine(line, (before.ids if before else {}) | each.ids)
    return list(kept.values())


def compose(
    id_: str,
    channel: str,
    recipient: str,
    told: Sequence[ToldLine],
    names: Names,
    now: int,
    link: Callable[[str], str],
    whole: bool,
) -> Message:
    """A message of lines of the feed, in their order. `link`: the address of a case, of the list where it is empty;
    `whole`: for a program, which gets every line."""
    shown = list(told) if whole else latest(told)
    ranked = sorted(shown, key=lambda each: _rank(each.line, now))
    posts = sorted({post for each in told for post in each.ids})
    lines = ranked if whole else ranked[:SHOWN]
    return Message(
        id=id_,
        channel=channel,
        recipient=recipient,
        at=now,
        subject=subject([each.line for each in ranked], names, now),
        posts={post: names.post(post).name for post in posts},
        lines=[_said(each, names, link) for each in lines],
        count=len(shown),
        link=link(""),
    )


def _said(told: ToldLine, names: Names, link: Callable[[str], str]) -> MessageLine:
    line = told.line
    return MessageLine(
        text=sentence(line, line.what, line.by, names, on=line.on, cases=len(line.cases) + line.more),
        ids=told.ids,
        what=line.what,
        alert=line.alert,
        case=line.case,
        number=short_number(line.case) if line.case else "",
        definition=line.definition,
        kind=line.kind,
        clock=line.clock,
        level=line.level,
        path=line.path,
        due_at=line.due_at,
        due=line.due,
        on=line.on,
        link=link(line.case) if line.case else "",
    )


# ---- the subject ---------------------------------------------------------------------------------------------


def subject(lines: Sequence[Line], names: Names, now: int) -> Words:
    """`三号街道：处置 2 件今日 16:00 到期；另 3 件`: the place of what is said first, what it is, how many cases, and
    until when at the earliest. The lines are in the order of their rank."""
    first = what_of(lines[0], now)
    same = [line for line in lines if what_of(line, now) == first]
    count = sum(max(1, len(line.cases) + line.more) for line in same)
    rest = len(lines) - len(same)
    dues = {line.due for line in same if line.due is not None}
    when = Words("", "")
    if first.rank <= NOTICE and dues:
        at, several = when_words(min(dues), now, names), len(dues) > 1
        when = Words(f"{'最早' * several}{at.zh} 到期", f" due {'from ' * several}{at.en}")
        if first.rank == NOTICE:  # a letter, which asks for an answer
            when = Words(f"，{'最早' * several}时限{at.zh}", f"; deadline {'from ' * several}{at.en}")
        if first.rank == OVERDUE:
            when = Words(f"已超期，{'最早' * several}时限{at.zh}", f" overdue, since {at.en}")
    unit = place_of(same, names)
    zh, en = f"{unit}：{first.zh} {count} 件{when.zh}", f"{unit}: {first.en}, {count}{when.en}"
    return Words(f"{zh}；另 {rest} 件", f"{en}; {rest} more") if rest else Words(zh, en)


def what_of(line: Line, now: int) -> LineGroup:
    """What a subject says of a line, without its place."""
    rank, _ = _rank(line, now)
    if rank == NOTICE:
        return LineGroup(rank, *MOVES.get(line.on, (line.on, line.on)))
    zh, en = CLOCKS.get(line.clock) or RUNGS.get(line.kind, (line.kind, line.kind))
    if rank == OVER:
        end = ALERT_ENDS[line.what]
        return LineGroup(rank, f"{zh}告警{end[0]}", f"{en}: alert {end[1]}")
    return LineGroup(rank, zh, en)


def _rank(line: Line, now: int) -> tuple[int, int]:
    """What comes first: overdue, due, notices, ended; the earliest deadline within each."""
    if line.what in ENDED:
        return OVER, line.due_at
    if line.what == "told":
        return NOTICE, line.due_at
    return (OVERDUE if line.due is not None and line.due < now else DUE), line.due or line.due_at


def place_of(lines: Sequence[Line], names: Names) -> str:
    """The department that must act, or the grid; of several the lowest grid that contains them."""
    department = lines[0].department
    if department and all(line.department == department for line in lines):
        return names.department(department).name
    shared: list[str] = []
    for codes in zip(*(_grids(line) for line in lines), strict=False):
        if len(set(codes)) > 1:
            break
        shared.append(codes[0])
    return names.grid(shared[-1]).name if shared else ""


def _grids(line: Line) -> list[str]:
    """The grids of a line down to that of its clock's level, which must act; of a notice down to its place."""
    codes = codes_of(line.path)
    at_level = 0 < line.level <= len(codes) and line.clock not in ORDERED
    return codes[: line.level] if at_level else codes


def when_words(instant: int, now: int, names: Names) -> Words:
    """An instant as people say it: today, tomorrow, yesterday, else its date; with the year where it is another one."""
    said, today = names.instant(instant), names.instant(now)
    minute, date = said[11:16], said[:10]
    for days, zh, en in ((0, "今日", "today"), (1, "明日", "tomorrow"), (-1, "昨日", "yesterday")):
        if names.instant(now + days * DAY_MS)[:10] == date:
            return Words(f"{zh} {minute}", f"{en} {minute}")
    year, month, day = date.split("-")
    zh = f"{int(month)}月{int(day)}日 {minute}"
    return Words(zh if year == today[:4] else f"{year}年{zh}", f"{date} {minute}")


# ---- texts ---------------------------------------------------------------------------------------------------


def in_language(words: Words, language: str) -> str:
    """Words in the language of a channel; in both, Chinese first."""
    return {"zh": words.zh, "en": words.en}.get(language) or f"{words.zh} / {words.en}"


def line_text(message: Message, line: MessageLine, language: str) -> str:
    """A line for people: its number, what it says and, where several read the message, whom it is for."""
    text = in_language(line.text, language)
    if line.number:
        text = f"{spoken(line.number)} {text}"
    if not message.recipient:
        text += f" → {'、'.join(message.posts.get(post, post) for post in line.ids)}"
    return text


def more_text(count: int, language: str) -> str:
    """How many cases a message does not name."""
    return in_language(Words(f"另有 {count} 件未列出", f"{count} more are not named"), language)


def fitted(message: Message, language: str, most_bytes: int, write: Callable[[str, str], str]) -> tuple[list[str], str]:
    """The lines of a message that fit into so many bytes, as `write` makes them of text and link, and what is said of
    the rest: empty where there is none."""
    said, size = list[str](), 0
    for line in message.lines:
        text = write(line_text(message, line, language), line.link)
        size += len(text.encode()) + 1
        if size > most_bytes:
            break
        said.append(text)
    rest = message.count - len(said)
    return said, more_text(rest, language) if rest > 0 else ""


def plain_text(message: Message, language: str, most_bytes: int = 1 << 20) -> str:
    """The lines of a message as plain text, with their links."""
    lines, rest = fitted(message, language, most_bytes, lambda text, link: f"{text}\n  {link}" if link else text)
    return "\n".join([*lines, *filter(None, (rest, message.link))])
