"""Stored sheets of assessments (考核得分表): computed as of an instant, and read by their hashes.

`sheet_of` computes a sheet that is to be stored, and the same again: from the pack that it names, as of the instant
that it names, from nothing else. `stored_page` shows a stored one in words, with the rights with which any other is
read.
"""

from typing import NamedTuple

from msgspec import Struct

from engine.policies import Policies
from engine.store import incident_queries, sheets
from engine.store.database import Connection
from engine.store.sheets import SheetRow
from engine.views.assessment import (
    AssessmentPage,
    AssessmentQuestion,
    assessment_page,
    page_of,
    sheet_before,
    vetoes_of,
    vetoes_read,
)
from engine.views.assessment_rows import rows_of, subjects_of
from engine.views.names import Names, active_names
from engine.views.questions import BadQuestion
from schemas.kinds.assessment import Assessment
from workflows import case as cases
from workflows.assessment.cards import Card, card_of
from workflows.assessment.consequences import Proposal, propose
from workflows.assessment.filed import (
    MOST_TAKEN,
    FiledSheet,
    Still,
    body_of,
    decode,
    digest,
    filed,
    is_taken,
    period_text,
    subject_of,
)
from workflows.assessment.scoring import score
from workflows.policy.index import Policy
from workflows.reading import READS_EVERYTHING, Readable


class StoredSheet(NamedTuple):
    """A stored sheet, with the pack and the card by which it was computed."""

    sheet: FiledSheet
    register: Policy
    card: Card


def row_of(sheet: FiledSheet) -> SheetRow:
    """A sheet as it is stored."""
    period = period_text(sheet.period, sheet.since)
    return SheetRow(digest(sheet), sheet.card, period, sheet.as_of, body_of(sheet))


def sheet_of(
    connection: Connection, register: Policy, card: Card, since: int, until: int, as_of: int, still: Still
) -> FiledSheet:
    """The sheet of these local days as of an instant (ms UTC), and what stands still. Raises BadQuestion where cases
    have been archived."""
    scored = score(card, rows_of(connection, register, card, since, until, as_of))
    return filed(scored, still, vetoes_of(connection, register, card, (since, until), as_of))


def read_stored(connection: Connection, policies: Policies, hash_: str) -> StoredSheet | None:
    """A stored sheet by its hash; None: there is none. Raises PackUnusable where its pack is not there."""
    row = sheets.read_sheet(connection, hash_)
    if row is None:
        return None
    sheet = decode(row.body)
    register = policies.get(connection, sheet.pack)
    card = card_of(register.pack, sheet.card, sheet.until // 10_000)
    assert card is not None, "the pack of a sheet has its card"
    return StoredSheet(sheet, register, card)


def proposals_of(connection: Connection, stored: StoredSheet) -> list[Proposal]:
    """What a stored sheet proposes."""
    sheet, register, card = stored
    paths = {each.code: each.path for each in subjects_of(register, card, sheet.until)}
    return propose(card, sheet, paths, sheet_before(connection, register, card, sheet.since, sheet.as_of))


def stored_page(
    connection: Connection,
    policies: Policies,
    hash_: str,
    readable: Readable = READS_EVERYTHING,
    now: int | None = None,
) -> AssessmentPage:
    """A stored sheet in words. Raises BadQuestion where there is none of this hash; Unanswerable where it is not
    read."""
    stored = read_stored(connection, policies, hash_)
    if stored is None:
        raise BadQuestion("hash", "no sheet of this hash is stored", "take it from an assessment, in full")
    sheet, register, card = stored
    subjects = subjects_of(register, card, sheet.until)
    proposed = proposals_of(connection, stored)
    vetoes = sheet.vetoes
    if vetoes is None:  # an earlier release did not store them
        vetoes = vetoes_of(connection, register, card, (sheet.since, sheet.until), sheet.as_of)
    shown = vetoes_read(connection, vetoes, sheet.as_of if now is None else now, readable)
    return page_of(Names(register), card, sheet, subjects, proposed, readable, "stored", vetoes=shown)


def sheet_page(
    connection: Connection,
    policies: Policies,
    question: AssessmentQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> AssessmentPage:
    """The sheet that is asked for: a stored one by its hash, else one that is computed. Raises Unanswerable."""
    if not question.hash:
        return assessment_page(connection, policies, question, now, readable)
    if question.card or question.period or question.at:
        raise BadQuestion("hash", "a stored sheet is asked for by its hash alone", "leave out card, period and at")
    return stored_page(connection, policies, question.hash, readable, now)


class SheetRecord(Struct, frozen=True):
    """The case of an assessment: its state, its current sheet and the published one (hashes; empty: none)."""

    case: str
    state: str
    hash: str
    published: str


def record_of(
    connection: Connection, policies: Policies, page: AssessmentPage, readable: Readable = READS_EVERYTHING
) -> SheetRecord | None:
    """The case in which the sheet of a card and a period is commented on and signed; None: there is none, or it is not
    read."""
    register = active_names(connection, policies).register
    first = int(page.since.replace("-", ""))
    ids = [subject_of(register, page.card, first, taken) for taken in range(MOST_TAKEN)]
    found = incident_queries.read_cases(connection, ids)
    known = (cases.decode(found[id_].encode()) for id_ in ids if id_ in found)
    case = next((each for each in known if not is_taken(each)), None)
    if case is None or not readable.reads_case(case) or not isinstance(case.own, Assessment):
        return None
    return SheetRecord(case.id, case.state, case.own.hash, case.own.published)
