"""The assessor: a turn reads how far the log is known, and says what follows from it.

1. A card and a period whose time has come, and of which no case is there: its sheet is computed, stored and said.
2. One that names what stands still: it is computed again as soon as something else stands, as of the same instant.
3. One that was published: its proposals are said, one event each. Those of an earlier sheet that no longer follow are
   withdrawn; who has decided one is asked to revoke or to uphold it.
4. Once for each local day that is over, a published sheet is computed as of the end of that day, if something of its
   cases has arrived since. Where a score or a place has changed, that sheet is the proposal of a restatement.
5. What was said in this process is not said again; what it did not live to see is read from the store.
6. Its ids can be foretold. Where others have begun a case under one of them, it goes on with the next that follows.
7. What it says of a proposal may be too late: an office decides what is about to be withdrawn, or somebody takes an id.
   So it looks again, once an hour of the log, until each proposal stands and none that is undecided is taken back.
"""

import logging
from collections.abc import Iterable
from typing import Any

from consumers.assessing import cards, sayings
from consumers.assessing.cards import Assessed
from consumers.assessing.clocks import Clocks, still_of
from consumers.assessing.sayings import Say
from engine import failpoints
from engine.errors import PackUnusable
from engine.policies import Policies
from engine.slice.entering import activations_of
from engine.store import incident_queries, sheets, slices
from engine.store.database import Connection, Database
from engine.store.rows import PartitionRow
from engine.views.assessment import register_at
from engine.views.questions import BadQuestion
from engine.views.stored_sheets import proposals_of, read_stored, row_of, sheet_of
from schemas.instants import written
from schemas.kinds.assessment import COMPUTED, Assessment
from schemas.kinds.supervision import CONTESTS, PROPOSES, RESTATED, SUPERVISION, WITHDRAWS
from schemas.partition import partition_of
from workflows.assessment.cards import Card, card_of
from workflows.assessment.filed import (
    MOST_TAKEN,
    FiledSheet,
    Still,
    digest,
    is_taken,
    outcome,
    subject_of,
)
from workflows.case import AWAITED, Case
from workflows.case import decode as decode_case
from workflows.clocks.calendar import day_number, day_of_number
from workflows.definitions import supervision
from workflows.policy.index import Policy
from workflows.policy.model import Post

log = logging.getLogger(__name__)

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
DONE = float("inf")
"""No instant: nothing of a published sheet is to be looked at again."""


class Assessor:
    """Computes and says. `say` puts an event into the log; one thread calls `turn`."""

    def __init__(self, database: Database, say: Say) -> None:
        self.database = database
        self.say = say
        self.policies = Policies()
        self.clocks = Clocks()
        self.said = set[str]()  # ids of events
        self.voices = set[str]()  # the posts by which it speaks, or spoke under an earlier pack
        self.follow_at = dict[tuple[str, str], float]()  # published sheets: from when on proposals are looked through
        self.looked = dict[str, int]()  # by case: the end of the last local day (ms) for which it was looked at
        self.seen: tuple[object, ...] = ()  # what the last turn saw, where nothing followed from it
        self.left_out = set[str]()  # cases that cannot be assessed, each told once

    def turn(self) -> int:
        """One look at the log; the number of events that it said."""
        said = len(self.said)
        with self.database.read() as connection:
            active = incident_queries.read_active(connection)
            register = self.policies.get(connection, active) if active is not None else None
            post = sayings.voice_of(register) if register is not None else None
            if register is None or post is None:
                return 0
            known, rows = self.clocks.look(connection, register), slices.read_partitions(connection)
            home = rows[partition_of(register.root, len(rows))]
            seen = known // MINUTE_MS, active, home.n, *((row.halted, row.standing) for row in rows)
            if seen == self.seen:
                return 0
            found = self.due(connection, home, known)
            cases = read(connection, found)
            for taken in range(1, MOST_TAKEN):
                others = {id_: found.pop(id_) for id_, case in cases.items() if id_ in found and is_taken(case)}
                if not others:
                    break
                moved = [
                    each._replace(subject=subject_of(register, each.card, each.since, taken))
                    for each in others.values()
                ]
                found |= {each.subject: each for each in moved}
                cases |= read(connection, [each.subject for each in moved])
        for subject, each in sorted(found.items()):
            try:
                self.assess(each, cases.get(subject), register, post, known)
            except (BadQuestion, PackUnusable) as error:
                self.leave_out(each, str(error))
        self.seen = seen if len(self.said) == said else ()
        return len(self.said) - said

    def due(self, connection: Connection, home: PartitionRow, known: int) -> dict[str, Assessed]:
        """What is to be assessed by now, under all packs that were active in the partition of the root's home."""
        activated = activations_of(home)
        registers = [self.policies.get(connection, each) for each in dict.fromkeys(hash_ for hash_, _ in activated)]
        self.voices.update(post.code for each in registers if (post := sayings.voice_of(each)) is not None)
        found = cards.due(registers, activated[0][1], known) if activated else {}
        return {subject: each for subject, each in found.items() if subject not in self.left_out}

    def leave_out(self, each: Assessed, why: str) -> None:
        """A sheet that cannot be computed, as its cases have been archived, is told once and not tried again."""
        self.left_out.add(each.subject)
        log.warning("assessment.left_out", extra={"card": each.card, "period": each.period, "why": why})

    def assess(self, each: Assessed, case: Case | None, active: Policy, post: Post, known: int) -> None:
        """Say what follows for one card and period."""
        own = case.own if case is not None else None
        if not isinstance(own, Assessment):
            return self.compute(each, None, active, post, each.as_of)
        if own.published and self.follow_at.get((each.subject, own.published), 0) <= known:
            done = self.follow(each, own, post)
            self.follow_at[each.subject, own.published] = DONE if done else known + HOUR_MS
        if own.standing:
            return self.compute(each, own, active, post, own.as_of)
        days = active.clock_of_days
        until, looked = days.day_start(days.local_day(known)) - 1, max(own.as_of, self.looked.get(each.subject, 0))
        if own.published and until > looked:
            with self.database.read() as connection:
                moved = sheets.has_moved(connection, each.since, each.until, looked, until)
            if moved:
                self.compute(each, own, active, post, until)
            self.looked[each.subject] = until
        return None

    # ---- sheets ---------------------------------------------------------------------------------------------

    def compute(self, each: Assessed, own: Assessment | None, active: Policy, post: Post, as_of: int) -> None:
        """Compute a sheet as of an instant, and say so where it is another one than the current."""
        with self.database.read() as connection:
            current = read_stored(connection, self.policies, own.hash) if own is not None else None
            published = read_stored(connection, self.policies, own.published) if own and own.published else None
            still = still_of(connection, active)
            if own is not None and own.standing and current is not None and still == still_in(current.sheet):
                return
            sheet = self.sheet(connection, each, active, as_of, still)
        if sheet is None:
            return
        if published is not None and not sheet.still and outcome(published.sheet) == outcome(sheet):
            sheet = published.sheet  # nothing is to be restated, or not any more
        elif current is not None and (outcome(current.sheet), still_in(current.sheet)) == (outcome(sheet), still):
            return
        row = row_of(sheet)
        if own is not None and row.hash == own.hash:
            return
        with self.database.begin() as writer:
            sheets.write_sheet(writer, row)
        failpoints.hit("assess.stored")
        data: dict[str, Any] = {"card": each.card, "period": each.period, "hash": row.hash}
        data |= {"as_of": written(sheet.as_of), "standing": sheet.still}
        if own is not None:
            data["previous"] = own.hash
        number = 0 if own is None else own.number
        self.tell(COMPUTED, each.subject, f"{each.card}/{each.period}/{number}", post, as_of, data)

    def sheet(
        self, connection: Connection, each: Assessed, active: Policy, as_of: int, still: Still
    ) -> FiledSheet | None:
        """The sheet of a card and a period; None where no card of this code was in force on its last day."""
        days = active.clock_of_days
        ends = days.day_start(day_of_number(day_number(each.until) + 1)) - 1
        register = register_at(connection, self.policies, active, ends)
        card = card_of(register.pack, each.card, each.until // 10_000)
        if card is None:
            self.leave_out(each, "no card of this code was in force on the last day of the period")
            return None
        return sheet_of(connection, register, card, each.since, each.until, as_of, still)

    # ---- what follows ---------------------------------------------------------------------------------------

    def follow(self, each: Assessed, own: Assessment, post: Post) -> bool:
        """Say what the published sheet proposes, and take back what an earlier one had proposed. Whether all of that
        has come to pass."""
        with self.database.read() as connection:
            stored = read_stored(connection, self.policies, own.published)
            if stored is None:
                return True
            _, register, card = stored
            meant = {(sayings.rule_of(p), p.subject): p for p in proposals_of(connection, stored)}
            known = self.proposed(connection, each, register, card, [score.subject for score in stored.sheet.scores])
        done = True
        for (rule, unit), proposal in meant.items():
            before = known.get((rule, unit), [])
            own_ones = [case for case in before if self.is_own(case)]
            if proposal.action not in register.actions or (own_ones and not supervision.is_taken_back(own_ones[-1])):
                continue  # nobody is hit twice by a rule in a period; one that was withdrawn undecided hit nobody
            done = False
            subject = sayings.proposal_subject(register, each, card.subjects, rule, unit, len(before))
            id_ = "/".join((each.card, each.period, rule, unit, str(len(before))))
            data = sayings.proposed_data(register, each, card.subjects, proposal)
            self.tell(PROPOSES, subject, id_, post, stored.sheet.as_of, data)
        for key, attempts in known.items():
            own_ones = [case for case in attempts if self.is_own(case)]
            if key not in meant and own_ones and own_ones[-1].by == post.code:
                self.take_back(own_ones[-1], stored.sheet, post)
                done = done and not supervision.is_undecided(own_ones[-1])
        return done

    def is_own(self, case: Case) -> bool:
        """Whether a case that stands under the id of a proposal is one: proposed by this assessor."""
        return case.definition == SUPERVISION.name and case.by in self.voices

    def proposed(
        self, connection: Connection, each: Assessed, register: Policy, card: Card, units: Iterable[str]
    ) -> dict[tuple[str, str], list[Case]]:
        """What stands under the ids of what the rules of a card propose for its units in a period, one after the other:
        the supervisions that were proposed, and what others have begun there."""
        rules = [f"{row.when}:{row.action}" for row in card.consequences]
        asked = {(rule, unit): list[Case]() for unit in units for rule in rules}
        open_ = set(asked)
        while open_:
            ids = {sayings.proposal_subject(register, each, card.subjects, *key, len(asked[key])): key for key in open_}
            found = read(connection, ids)
            open_ = set()
            for subject, case in ((id_, case) for id_, case in found.items() if case.state != AWAITED):
                asked[ids[subject]].append(case)
                open_.add(ids[subject])
        return {key: cases for key, cases in asked.items() if cases}

    def take_back(self, case: Case, sheet: FiledSheet, post: Post) -> None:
        """A proposal that no longer follows is withdrawn while it is undecided; who has decided it is asked."""
        hash_ = digest(sheet)
        if supervision.is_undecided(case):
            self.tell(WITHDRAWS, case.id, f"{WITHDRAWS}/{case.id}", post, sheet.as_of, {"reason": RESTATED})
        elif supervision.may_be_contested(case):
            self.tell(CONTESTS, case.id, f"{CONTESTS}/{case.id}/{hash_}", post, sheet.as_of, {"hash": hash_})

    def tell(self, trigger: str, subject: str, id_: str, post: Post, at: int, data: dict[str, Any]) -> None:
        """Say something once."""
        if id_ not in self.said:
            self.say(sayings.event(trigger, subject, id_, post, at, data))
            self.said.add(id_)
            log.info("assessment.said", extra={"trigger": trigger, "case": subject, "id": id_})


def read(connection: Connection, ids: Iterable[str]) -> dict[str, Case]:
    """The cases of these ids that there are."""
    found = incident_queries.read_cases(connection, [*ids])
    return {id_: decode_case(body.encode()) for id_, body in found.items()}


def still_in(sheet: FiledSheet) -> Still:
    """What a sheet names as standing still."""
    return Still(sheet.halted, sheet.standing, sheet.quarantined)
