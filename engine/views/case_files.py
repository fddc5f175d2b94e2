"""Photos and other files of cases: which a case refers to, and who may be given one."""

from typing import Literal

from msgspec import Struct

from engine.policies import Policies
from engine.principals import Principal
from engine.store import incident_queries, sent_files
from engine.store.database import Connection
from engine.store.rows import FileRow, StepRow
from engine.views.names import active_names
from engine.views.readers import posts_of, readable_by
from schemas import facts
from workflows import case as cases
from workflows.reading import word_rights


class CaseFile(Struct, frozen=True):
    """A file to which the evidence of a case refers: `here`, `awaited` while it has not come from whoever named it, or
    `erased` with the words of the case. Bytes and type are known of what is here."""

    sha256: str
    kind: str
    state: Literal["here", "awaited", "erased"]
    bytes: int = 0
    media_type: str = ""


def readable_file(
    connection: Connection, policies: Policies, principal: Principal, sha256: str, now: int
) -> FileRow | None:
    """A file, for a principal that may be given it; None: there is none, or it may not.

    A file to which cases refer is given to those who read the words of one of them, by one of their posts (R14). Until
    then it is given to its sender alone.
    """
    referred = sent_files.referred_to(connection, sha256)
    if referred is None:
        return sent_files.sent_by(connection, sha256, principal.name)
    register = active_names(connection, policies).register
    readable, posts = readable_by(connection, policies, principal, now), posts_of(principal, register)
    for id_ in sent_files.cases_with(connection, sha256):
        body = incident_queries.read_case(connection, id_)
        case = cases.decode(body) if body is not None else None
        if case is None or not readable.reads_case(case):
            continue
        if any(word_rights(post, case, register, now).words for post in posts):
            return referred
    return None


def files_of_case(connection: Connection, case: str, steps: list[StepRow]) -> list[CaseFile]:
    """The files of a case, in the order in which its steps name them."""
    named = dict[str, str]()
    for step in steps:
        for fact in facts.decode_facts(step.body) if '"incident.evidence_added"' in step.body else ():
            if isinstance(fact, facts.Evidenced) and not fact.url:
                named.setdefault(fact.sha256, fact.kind)
    known = sent_files.of_case(connection, case) if named else {}
    found = list[CaseFile]()
    for sha256, kind in named.items():
        erased, size, media = known.get(sha256, (False, 0, ""))
        state: Literal["here", "awaited", "erased"] = "erased" if erased else "here" if media else "awaited"
        found.append(CaseFile(sha256, kind, state, *((size, media) if state == "here" else (0, ""))))
    return found
