"""The feed for discipline inspection (纪检监察, M39, M125): what was done, by whom, and what was exempted.

Its lines are the links of all chains in the order in which they were chained: a step of a case in words, a dead letter,
an act of the audit. Each line has its hash, which depends on all before it in its chain, so whoever keeps a line holds
an anchor of his own. A line of what was restored away is not told again under another number: an epoch begins.

The post of inspection reads what lies in its grid and below. Letters and acts lie nowhere: a post at the root reads
them. Nothing personal is in a line.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from engine.chain_form import ACTS, LETTERS, STEPS, Link
from engine.policies import Policies
from engine.principals import Principal
from engine.store import chains
from engine.store.database import Connection
from engine.store.rows import AuditRow, LetterRow, StepRow
from engine.views.cursors import read_cursor, write_cursor
from engine.views.local_times import LocalClock
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.questions import BadQuestion, Unanswerable, check_limit
from engine.views.story import Language, StepText
from schemas import facts
from schemas.messages import Words
from workflows.definitions import DEFINITIONS
from workflows.policy.model import INSPECTION, Post

MOST = 500
"""Lines of a page at most."""
LANGUAGES: tuple[Language, Language] = ("zh", "en")
ONLY = ("", "exempted")
What = Literal["step", "letter", "act"]


class InspectionQuestion(Struct, frozen=True, kw_only=True):
    """Lines of the feed. `only`: `exempted`, those by which a missed deadline was exempted or an exemption refused;
    `post`: the one that reads, where the principal speaks for several."""

    only: str = ""
    post: str = ""
    limit: int = 100
    cursor: str = ""


class Exempted(Struct, frozen=True):
    """An exemption (容错免责) that was granted or refused: of which clock, why, and by which post."""

    clock: str
    granted: bool
    ground: str
    by: Named
    appeal: bool


class StepLine(Struct, frozen=True, kw_only=True):
    """A step of a case: its number within the case, when it arrived, who said it, and what it did, in words."""

    case: str
    seq: int
    definition: str
    arrived_at: str
    place: list[Named]
    by: Named | None
    said: Words
    exempted: list[Exempted]


class LetterLine(Struct, frozen=True, kw_only=True):
    """A dead letter: what was refused, and why."""

    id: str
    refused_at: str
    reason: str
    field: str
    type: str
    case: str
    principal: str


class ActLine(Struct, frozen=True, kw_only=True):
    """An act of the audit: who did what to what, by which way, and how it ended."""

    done_at: str
    who: str
    act: str
    object: str
    via: str
    outcome: str


class InspectionLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: its number in the feed, and its link: chain, number there, epoch, item and hash. Of what has left for a
    file since, there is the link alone."""

    number: int
    chained_at: str
    chain: str
    n: int
    epoch: int
    item: str
    hash: str
    what: What
    step: StepLine | None = None
    letter: LetterLine | None = None
    act: ActLine | None = None


class InspectionPage(Struct, frozen=True, kw_only=True):
    """Lines in the order in which they were chained. `reader`: the post for which they were read; `last`: the number of
    the last line that there is; `next`: the cursor of the next page."""

    lines: list[InspectionLine]
    reader: str
    grid: str
    epoch: int
    last: int
    as_of: str
    next: str | None


class NoInspection(Unanswerable):
    """The principal has no post that reads the feed."""

    def __init__(self) -> None:
        remedy = "ask who runs the system for a post whose role is `inspection`"
        super().__init__("post", "none of your posts reads the feed of inspection", remedy)


class Inspector(Struct):
    """Who reads: a post, its grid, the path below which it reads steps, and whether it reads what lies nowhere."""

    post: str
    grid: str
    prefix: str
    whole: bool


def inspector_of(names: Names, reader: Principal, code: str, now: int) -> Inspector:
    """The post of inspection for which a principal reads: the one that is named, else of several the highest. Raises
    NoInspection; BadQuestion where several are as high."""
    register = names.register

    def reads(post: Post) -> bool:
        held = post.role == INSPECTION and not post.vacant and register.stands(post, now)
        return held and reader.may_speak(post.code) and code in ("", post.code)

    own = sorted(filter(reads, register.pack.posts), key=lambda post: (register.grids[post.grid].level, post.code))
    if not own:
        raise NoInspection()
    level = register.grids[own[0].grid].level
    if len(highest := [post.code for post in own if register.grids[post.grid].level == level]) > 1:
        raise BadQuestion("post", "you speak for several posts of inspection", f"name one, such as {highest[0]}")
    grid = register.standing(own[0].grid, now)
    return Inspector(own[0].code, grid, prefix_of(names, grid), grid == register.root)


def inspection_page(
    connection: Connection, policies: Policies, question: InspectionQuestion, reader: Principal, now: int
) -> InspectionPage:
    """A page of the feed. Raises Unanswerable: NoInspection where the principal has no such post."""
    names = active_names(connection, policies)
    who = inspector_of(names, reader, question.post, now)
    check_limit(question.limit, MOST)
    if question.only not in ONLY:
        raise BadQuestion("only", "this is no part of the feed", "ask for `exempted`, or leave it out")
    after = read_cursor(question.cursor, tuple[int])[0] if question.cursor else 0
    last = chains.last_number(connection)
    links = chains.page_of_feed(connection, after, last, bool(question.only), question.limit)
    return InspectionPage(
        lines=lines_of(connection, names, who, links),
        reader=who.post,
        grid=who.grid,
        epoch=epoch_of(connection),
        last=last,
        as_of=names.instant(now),
        next=write_cursor(links[-1].number) if len(links) == question.limit else None,
    )


def epoch_of(connection: Connection) -> int:
    """The latest epoch of the chains: another one after a restore."""
    return max((row.epoch for row in chains.read_epochs(connection)), default=1)


def lines_of(connection: Connection, names: Names, who: Inspector, links: Sequence[Link]) -> list[InspectionLine]:
    """Links as lines, of those that the post reads."""
    places = [(int(link.name.removeprefix(STEPS)), link.n) for link in links if link.name.startswith(STEPS)]
    steps = {(row.partition, row.n): row for row in chains.steps_at(connection, places)}
    letters = {row.id: row for row in chains.letters_at(connection, [k.key for k in links if k.name == LETTERS])}
    acts = {row.id: row for row in chains.acts_at(connection, [k.key for k in links if k.name == ACTS])}
    clock, found = LocalClock(names), list[InspectionLine]()
    for link in links:
        step = letter = act = None
        what: What = "letter" if link.name == LETTERS else "act" if link.name == ACTS else "step"
        if what == "step":
            row = steps.get((int(link.name.removeprefix(STEPS)), link.n))
            step = step_line(row, names, clock) if row is not None else None
            if not who.whole and (row is None or not row.path.startswith(who.prefix)):
                continue
        elif not who.whole:
            continue
        elif link.key in letters:
            letter = letter_line(letters[link.key], names)
        elif link.key in acts:
            act = act_line(acts[link.key], names)
        found.append(
            InspectionLine(
                number=link.number,
                chained_at=names.instant(link.at),
                chain=link.name,
                n=link.n,
                epoch=link.epoch,
                item=link.item,
                hash=link.hash,
                what=what,
                step=step,
                letter=letter,
                act=act,
            )
        )
    return found


def step_line(row: StepRow, names: Names, clock: LocalClock) -> StepLine:
    """A step in words."""
    known, actor = facts.decode_facts(row.body), facts.decode_cause(row.cause).actor
    definition = DEFINITIONS.get(row.definition)
    zh, en = (StepText(row, known, definition, names, clock, language) for language in LANGUAGES)
    return StepLine(
        case=row.case_id,
        seq=row.seq,
        definition=row.definition,
        arrived_at=names.instant(row.at),
        place=names.path(tuple(filter(None, row.path.split("/")))),
        by=names.post(actor) if actor else None,
        said=Words("；".join(zh.sentences), "; ".join(en.sentences)),
        exempted=[
            Exempted(fact.clock, fact.granted, fact.ground, names.post(fact.by), fact.appeal)
            for fact in known
            if isinstance(fact, facts.ExemptionDecided)
        ],
    )


def letter_line(row: LetterRow, names: Names) -> LetterLine:
    """A letter without what its sender wrote."""
    return LetterLine(
        id=row.id,
        refused_at=names.instant(row.at),
        reason=row.reason,
        field=row.field,
        type=row.type,
        case=row.case_id,
        principal=row.principal,
    )


def act_line(row: AuditRow, names: Names) -> ActLine:
    """An act."""
    return ActLine(
        done_at=names.instant(row.at), who=row.who, act=row.act, object=row.object, via=row.via, outcome=row.outcome
    )
