"""The letter of a supervision (督办函) as it was served: by the case as it stood in that step, and nothing that came
later.

What people wrote is sealed and not in it: who drafts the letter fills it in. For a post that reads it the ground of the
proposal stands there; whoever hands such a letter out has audited the reading before (`Document.read_by`).
"""

from engine.reports.document import Document, Section
from engine.reports.reading import ReportReading
from engine.store import exports
from engine.views.incident_detail import read_case
from engine.views.local_times import LocalClock
from engine.views.names import Names
from engine.views.questions import BadQuestion
from engine.views.words import incident_words
from schemas import facts
from schemas.kinds.supervision import Supervision, SupervisionServed
from schemas.short_numbers import short_number, spoken
from workflows import evolve
from workflows.case import Case
from workflows.definitions import CLOCKS, is_concealed
from workflows.definitions.supervision import SUPERVISION

GROUND = "事由："
TO_FILL_IN = "（由承办单位填写）"


def letter(reading: ReportReading) -> Document:
    """The letter of one supervision. Raises Unanswerable: also where there is none that the reader reads, and where it
    was not served."""
    source, names, id_ = reading.source, reading.names, reading.question.id
    if not id_:
        raise BadQuestion("id", "a letter is of one supervision", "name it by its id")
    case = read_case(source.connection, names, id_, source.readable)
    own = case.own
    if case.definition != SUPERVISION.name or not isinstance(own, Supervision):
        raise BadQuestion("id", "this case is no supervision", "name one by its id")
    if own.served is None or is_concealed(case):
        raise BadQuestion(
            "id", "this supervision has not been served: there is no letter of it so far", "ask once it is"
        )
    ground = ground_of(reading) if reading.question.post else TO_FILL_IN
    case = as_served(reading, id_)
    action, _ = names.titles(case.category)
    own = case.own
    assert isinstance(own, Supervision)
    unit = names.department(own.department).name if own.department else names.grid(own.unit).name
    office, clock = names.grid(own.office or own.unit).name, LocalClock(names)
    due = [each for each in case.clocks if each.due is not None and each.name in SUPERVISION.states[case.state].clocks]
    asks = [f"请于 {clock.minute(each.due)} 前{CLOCKS[each.name][0]}。" for each in due] if own.answer else []
    yuan = f"{own.amount_fen // 100}.{own.amount_fen % 100:02d}"
    amount = [f"金额：{yuan} 元（{own.count} 项）。"] if own.amount_fen else []
    told = [
        f"{unit}：",
        f"现就下列事项予以{action}。",
        *matter(reading, case, own),
        f"{GROUND}{ground}",
        *amount,
        *asks,
    ]
    served, notice = clock.minute(own.served), names.register.pack.notice
    return Document(
        stem=f"letter-{short_number(id_)}",
        title=action,
        subtitle=own.document,
        lead="",
        facts=(("编号", spoken(short_number(id_))), ("送达", served), *([("说明", notice)] if notice else [])),
        sections=(Section("", (*told, office, served[:10])),),
        at=own.served or 0,
        read_by=reading.question.post,
        read_of=id_,
    )


def ground_of(reading: ReportReading) -> str:
    """What its proposal gives as its ground, as the post of the question reads it. Raises Unanswerable: NotReadable
    where that post does not read the words of this supervision. Where none was written, or it was erased, it is to be
    filled in."""
    source, question = reading.source, reading.question
    found = incident_words(
        source.connection, source.policies, question.id, question.post, source.principal, source.now, source.readable
    )
    texts = [word.text for step in found.steps for word in step.words if word.member == "ground"]
    return texts[0] if texts else TO_FILL_IN


def as_served(reading: ReportReading, id_: str) -> Case:
    """The supervision as it was when it was first served. Facts are folded as the engine does it."""
    case = Case(id=id_)
    for step in exports.steps_of(reading.source.connection, id_):
        told = facts.decode_facts(step.body)
        for fact in told:
            evolve.apply(case, fact)
        if any(isinstance(fact, SupervisionServed) and fact.first for fact in told):
            break
    return case


def matter(reading: ReportReading, case: Case, own: Supervision) -> list[str]:
    """What it is about: a case, as far as the reader reads that, a place, an enterprise."""
    names: Names = reading.names
    told = [f"地点：{' / '.join(grid.name for grid in names.path(case.path))}"] if case.path else []
    if case.about:
        told.append(f"案件：{spoken(short_number(case.about))}")
    elif case.reference:
        told.append(f"来件号：{case.reference}")
    return [*told, *([f"单位：{own.site}"] if own.site else [])]
