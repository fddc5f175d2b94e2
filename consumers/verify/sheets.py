"""Stored sheets of assessments, computed again: from the facts, by the pack and as of the instant that each names.

A sheet that names what stood still when it was computed is not compared: what went on since has changed it, and another
sheet says so. Nor is one of which cases have been archived.
"""

from collections.abc import Iterator
from hashlib import sha256

import msgspec
from msgspec import structs

from engine.errors import PackUnusable
from engine.policies import Policies
from engine.store import sheets
from engine.store.database import Connection
from engine.views.questions import BadQuestion
from engine.views.stored_sheets import row_of, sheet_of
from workflows.assessment.cards import card_of
from workflows.assessment.filed import FiledSheet, Still, decode
from workflows.assessment.scoring import FORM


def findings(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """(where, expected, found) of stored sheets that are not what their hash says, or do not follow from the facts."""
    policies = Policies()
    for row in sheets.read_sheets(connection):
        where = f"{row.card} {row.period} {row.hash[:12]}"
        hashed = sha256(row.body.encode()).hexdigest()
        if hashed != row.hash:
            yield where, f"hash {row.hash}", f"a body whose hash is {hashed}"
            continue
        try:
            sheet = decode(row.body)
        except msgspec.DecodeError as error:
            yield where, "a sheet", f"what cannot be read: {error}"
            continue
        if row_of(sheet) != row:
            yield where, "the card, period and instant of its body", f"{row.card}, {row.period}, {row.as_of}"
        if sheet.still or sheet.form != FORM:
            continue
        try:
            again = computed(connection, policies, sheet)
        except PackUnusable as error:
            yield where, f"pack {sheet.pack[:12]}", error.message
            continue
        except BadQuestion:
            continue  # archived
        if again != sheet:
            yield where, *difference(again, sheet)


def computed(connection: Connection, policies: Policies, sheet: FiledSheet) -> FiledSheet | None:
    """The same sheet computed again; None where its pack has no such card. Raises BadQuestion, PackUnusable."""
    register = policies.get(connection, sheet.pack)
    card = card_of(register.pack, sheet.card, sheet.until // 10_000)
    if card is None:
        return None
    again = sheet_of(connection, register, card, sheet.since, sheet.until, sheet.as_of, Still())
    return again if sheet.vetoes is not None else structs.replace(again, vetoes=None)  # of an earlier release


def difference(again: FiledSheet | None, stored: FiledSheet) -> tuple[str, str]:
    """What the facts say and what is stored, of the first subject that differs."""
    if again is None:
        return "a card of its pack", f"card {stored.card}"
    right = {score.subject: score for score in again.scores}
    wrong = {score.subject: score for score in stored.scores}
    for subject in sorted(right.keys() | wrong.keys()):
        one, other = right.get(subject), wrong.get(subject)
        if one != other:
            return tuple(
                f"{subject}: {found.total} hundredths, place {found.place}" if found else f"{subject}: nothing"
                for found in (one, other)
            )  # type: ignore[return-value]
    if again.vetoes != stored.vetoes:
        return f"vetoes {again.vetoes}", f"vetoes {stored.vetoes}"
    return "the same days and instant", f"{stored.since} to {stored.until}, as of {stored.as_of}"
