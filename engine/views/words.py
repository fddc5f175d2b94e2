"""What people wrote to a case: description, notes, comments, in the order of the steps that took them.

A post reads them, not a principal: which words they are follows from what the post has to do with the case
(`workflows.reading.word_rights`). Whoever answers with them has audited the reading before.
"""

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.principals import Principal
from engine.store import exports, words
from engine.store.database import Connection
from engine.store.words import SealedWords
from engine.views.incident_detail import read_case
from engine.views.names import Named, Names, active_names
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable
from schemas import facts, sealing
from workflows.policy.index import Policy
from workflows.policy.model import Post
from workflows.reading import READS_EVERYTHING, Readable, word_rights


class WrittenText(Struct, frozen=True):
    """A text: the member of the event that held it, and whether it is identity or contact."""

    member: str
    text: str
    contact: bool


class WordsOfStep(Struct, frozen=True, kw_only=True):
    """What was written with one step. `withheld`: how many texts this post does not read, since they are identity or
    contact. Of what was `erased` the instant is known, but for erasures by early releases."""

    seq: int
    at: str
    occurred_at: str | None
    type: str
    post: Named
    words: list[WrittenText]
    withheld: int
    erased: bool
    erased_at: str | None


class IncidentWords(Struct, frozen=True, kw_only=True):
    """The words of a case as a post reads them. `contact`: it reads identity and contact, too."""

    id: str
    reader: Named
    contact: bool
    steps: list[WordsOfStep]
    as_of: str


def incident_words(
    connection: Connection,
    policies: Policies,
    id_: str,
    post: str,
    principal: Principal,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> IncidentWords:
    """The words of a case for one of a principal's posts. Raises Unanswerable: NotReadable where the post has no part
    in the case."""
    names = active_names(connection, policies)
    case = read_case(connection, names, id_, readable)
    reader = post_asked(principal, post, names.register)
    rights = word_rights(reader, case, names.register, now)
    if not rights.words:
        reason = f"post {reader.code} is not on this case's way, and its role does not supervise it from above"
        remedy = "its words are read by reporter, owner, lead and assisting departments, checkers and supervisors (R14)"
        raise NotReadable("post", reason, remedy)
    taken = dict[str, tuple[int, int, facts.Cause]]()
    for row in exports.steps_of(connection, id_):
        cause = facts.decode_cause(row.cause)
        if cause.token:  # an event that waited has two steps
            taken.setdefault(cause.token, (row.seq, row.at, cause))
    known, before = words.read_words(connection, taken), words.last_erasure(connection, id_)
    steps = [
        words_of_step(seq, at, cause, known.get(token, SealedWords("", 0)), before, names, contact=rights.contact)
        for token, (seq, at, cause) in taken.items()
    ]
    return IncidentWords(
        id=id_, reader=names.post(reader.code), contact=rights.contact, steps=steps, as_of=names.instant(now)
    )


def post_asked(principal: Principal, code: str, register: Policy) -> Post:
    """The post for which a principal reads: the one that is named, or its only one. Raises Unanswerable."""
    if not code:
        if principal.patterns or len(principal.codes) > 1:
            raise BadQuestion("post", "the principal speaks for several posts", "name the one that reads")
        if not principal.codes:
            reason = f"principal {principal.name} speaks for no post, and words are read by posts"
            raise NotReadable("post", reason, "ask whoever operates this server for a post under its `actors`")
        [code] = principal.codes
    elif not principal.may_speak(code):
        reason = f"principal {principal.name} may not speak for this post: its `actors` do not name it"
        raise NotReadable("post", reason, "name one of its own posts")
    if code not in register.posts:
        raise BadQuestion("post", "the active pack has no post of this code", "send the code of one of posts.csv")
    return register.posts[code]


def words_of_step(
    seq: int, at: int, cause: facts.Cause, found: SealedWords, before: int, names: Names, *, contact: bool
) -> WordsOfStep:
    """What was written with a step. `before`: when the case was erased last."""
    sealed = msgspec.json.decode(found.body) if found.body else {}
    texts = list(sealing.words_of(cause.type, sealed))
    shown = [WrittenText(*word) for word in texts if contact or not word.contact]
    return WordsOfStep(
        seq=seq,
        at=names.instant(at),
        occurred_at=names.maybe(cause.occurred),
        type=cause.type,
        post=names.post(cause.actor),
        words=shown,
        withheld=len(texts) - len(shown),
        erased=not found.body,
        erased_at=None if found.body else names.maybe((found.erased_at or before) or None),
    )
