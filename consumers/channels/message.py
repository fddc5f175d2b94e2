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


class Group(NamedTuple):
    """Lines that the subject says together: their rank, what they are, and the instant that counts."""

    rank: int
    instant: int
    unit: str
    zh: str
    en: str


def severity_of(line: Line) -> str:
    """Whether an alert tells of a deadline that comes (soon), has come (due) or has passed (overdue); empty: of
    none."""
    if line.what == "told":
        return ""
    if line.due is None or line.due_at == line.due:
        return "due"
    return "soon" if line.due_at < line.due else "overdue"


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
    """`三号街道：处置 2 件今日 16:00 到期；另 3 件`. The lines are in the order of their rank."""
    first = _group(lines[0], names, now)
    same = [line for line in lines if _group(line, names, now)[2:] == first[2:] and _rank(line, now)[0] == first.rank]
    count = sum(max(1, len(line.cases) + line.more) for line in same)
    rest = len(lines) - len(same)
    when = Words("", "")
    if first.rank == 0:
        at = when_words(first.instant, now, names)
        when = Words(f"已超期，时限{at.zh}", f" overdue since {at.en}")
    elif first.rank == 1 and first.instant:
        at = when_words(first.instant, now, names)
        when = Words(f"{at.zh} 到期", f" due {at.en}")
    zh = f"{first.unit}：{first.zh} {count} 件{when.zh}"
    en = f"{first.unit}: {first.en}, {count}{when.en}"
    return Words(f"{zh}；另 {rest} 件", f"{en}; {rest} more") if rest else Words(zh, en)


def _rank(line: Line, now: int) -> tuple[int, int]:
    """What comes first: overdue, due, notices, ended; the earliest deadline within each."""
    if line.what in ENDED:
        return 3, line.due_at
    if line.what == "told":
        return 2, line.due_at
    return (0 if line.due is not None and line.due < now else 1), line.due or line.due_at


def _group(line: Line, names: Names, now: int) -> Group:
    codes = codes_of(line.path)
    staged = line.clock in ORDERED
    at_level = 0 < line.level <= len(codes) and not staged
    code = codes[line.level - 1 if at_level else -1] if codes else ""
    unit = names.department(line.department).name if line.department else names.grid(code).name
    rank, instant = _rank(line, now)
    if line.what == "told":
        zh, en = MOVES.get(line.on, (line.on, line.on))
    else:
        zh, en = CLOCKS.get(line.clock) or RUNGS.get(line.kind, (line.kind, line.kind))
    if line.what in ENDED:
        end = ALERT_ENDS[line.what]
        zh, en = f"{zh}告警{end[0]}", f"{en}: alert {end[1]}"
    elif rank == 1 and line.due is None:
        instant = 0
    return Group(rank, instant, unit, zh, en)


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
