"""考核: the sheet of a card and a period, opened from total to indicator to the cases behind each side of it."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.formatting import Language
from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.http.performance import figures
from engine.policies import Policies
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.assessment import AssessmentPage, AssessmentQuestion, IndicatorMeaning, SubjectLine, subjects_read
from engine.views.assessment_rows import subjects_of
from engine.views.names import active_names
from engine.views.present import present
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable
from engine.views.stored_sheets import SheetRecord, record_of, sheet_page
from workflows.assessment.cards import Card, card_codes, card_of
from workflows.definitions import DEFINITIONS
from workflows.figure_words import meaning_of
from workflows.policy.model import Pack
from workflows.reading import Readable

CardCode = Annotated[str, QueryParameter(description="Code of a card of the pack; without one the first.")]
CardPeriod = Annotated[str, QueryParameter(description="2026, 2026-H1, 2026-Q3, 2026-08, or a local day in it.")]
At = Annotated[str, QueryParameter(description="RFC 3339 with a zone: the sheet as known at this instant.")]
Hash = Annotated[str, QueryParameter(description="A stored sheet, by its hash in full.")]
Subject = Annotated[str, QueryParameter(description="Key of the subject whose lines are opened.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
LATER = 9999
"""The card that holds now is that of the last year that there is."""


@get("/assessment", include_in_schema=False)
async def show_assessment(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    card: CardCode = "",
    period: CardPeriod = "",
    at: At = "",
    hash: Hash = "",
    subject: Subject = "",
    lang: Lang = "",
) -> Response[Any]:
    """A sheet: who has how many points, by what, and out of which cases. A question that it cannot answer is told
    beside the choice of card and period."""
    now, policies = context.now(), context.policies
    pack = await context.read(lambda connection: active_names(connection, policies).register.pack)
    cards = cards_of(pack)
    if cards and not card and not hash:
        card = await context.read_as(
            request.user, lambda connection, readable: first_read(connection, policies, cards, readable, now)
        )
    question = AssessmentQuestion(hash=hash) if hash else AssessmentQuestion(card=card, period=period, at=at)
    found, record, wrong = None, None, None

    def asked(connection: Connection, readable: Readable) -> tuple[AssessmentPage, SheetRecord | None]:
        sheet = sheet_page(connection, policies, question, now, readable)
        return sheet, record_of(connection, policies, sheet, readable)

    try:
        if card or hash:
            found, record = await figures(context, request.user, asked)
    except BadQuestion as error:
        wrong = error
    one = next((line for line in found.scores if line.key == subject), None) if found is not None else None
    if subject and found is not None and one is None:
        wrong = BadQuestion("subject", "this card has no such subject, or its figures are not read")
    return page(
        request,
        "assessment.html",
        status=400 if wrong is not None else 200,
        found=found,
        one=one,
        record=record,
        wrong=wrong,
        cards=cards,
        question=question,
        zone=pack.zone,
        best=first_of(found) if found is not None else [],
        last=last_of(found) if found is not None else None,
        term=term_words,
        opened=opened,
        points=points,
        action_title=lambda action, language: title_of(pack, action, language),
    )


def cards_of(pack: Pack) -> list[Card]:
    """The cards of a pack as they hold now, by their codes."""
    return [card for code in card_codes(pack) if (card := card_of(pack, code, LATER)) is not None]


def first_read(connection: Connection, policies: Policies, cards: Sequence[Card], readable: Readable, now: int) -> str:
    """The code of the first card of which somebody's figures are read; empty: of none."""
    register = active_names(connection, policies).register
    today = register.clock_of_days.local_day(present(connection, now).at)
    for card in cards:
        with suppress(NotReadable):
            subjects_read(readable, register, card, subjects_of(register, card, today))
            return card.code
    return ""


def title_of(pack: Pack, action: str, language: Language) -> str:
    """What an action of supervision is called; one that the pack has no more by its code."""
    known = next((each for each in pack.actions if each.action == action), None)
    return action if known is None else known.title_zh if language == "zh" else known.title_en or known.title_zh


def first_of(found: AssessmentPage) -> list[SubjectLine]:
    """Who has the first place among its peers."""
    return [line for line in found.scores if line.place == 1]


def last_of(found: AssessmentPage) -> SubjectLine | None:
    """Who has the lowest place, of one group of peers; None where nobody is behind anybody, or there are several
    groups."""
    placed = [line for line in found.scores if line.place is not None]
    behind = max(placed, key=lambda line: line.place or 0, default=None)
    return behind if behind is not None and behind.place != 1 and len({line.peer for line in placed}) == 1 else None


def term_words(indicator: IndicatorMeaning, term: str) -> tuple[str, str]:
    """What stands above or below the line, in Chinese and in English."""
    try:
        meaning = meaning_of(DEFINITIONS[indicator.definition], term)
    except KeyError:
        return term, term
    return meaning.zh, meaning.en or meaning.zh


def opened(asked: str) -> str:
    """The page of the cases behind a term, of the question that the API has for it."""
    return f"/figures?{asked.partition('?')[2]}"


def points(hundredths: int | None) -> str:
    """`87.35` of 8735."""
    return "—" if hundredths is None else f"{hundredths / 100:.2f}"


ROUTES = [show_assessment]
