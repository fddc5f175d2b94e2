"""Lists of responsibilities (责任清单) with their hashes: who has signed each as it is now, and who has not (M66)."""

from collections.abc import Mapping

from msgspec import Struct

from engine.policies import Policies
from engine.slice.as_rows import path_text
from engine.store import signatures
from engine.store.database import Connection
from engine.views.cursors import read_cursor, write_cursor
from engine.views.names import Named, Names, active_names
from engine.views.present import Reading, present
from engine.views.questions import BadQuestion, check_limit
from engine.views.readers import check_list
from engine.views.responsible import AnsweringLine, BodyNamed, body_named, line_of
from schemas.kinds.responsibility import Responsibility
from workflows import case as cases
from workflows.definitions.responsibility import RESPONSIBILITY
from workflows.policy.registers import Body
from workflows.reading import READS_EVERYTHING, Readable
from workflows.responsibility import Answering, duties_of_body, list_hash, signers

MOST = 200
"""Lists of a page at most."""


class SignatureQuestion(Struct, frozen=True, kw_only=True):
    """Whose lists, as texts: of one body, of the bodies of a grid's subtree, or those that one post signs. Empty asks
    nothing. `unsigned`: only lists that somebody has still to sign."""

    body: str = ""
    grid: str = ""
    post: str = ""
    unsigned: bool = False
    limit: int = 50
    cursor: str = ""


class SignatureLine(Struct, frozen=True, kw_only=True):
    """A post that signs a list. `signed_at`: when it signed the list as it is now; None: it has not."""

    post: Named
    signed_at: str | None


class ListLine(Struct, frozen=True, kw_only=True):
    """The list of a body. `hash` is the one that `responsibility.signed` names; `subject` how the subject of that
    event begins: the home of the body. `signed` of `asked` posts have signed it."""

    body: BodyNamed
    hash: str
    subject: str
    asked: int
    signed: int
    signatures: list[SignatureLine]
    duties: list[AnsweringLine]


class ListPage(Struct, frozen=True):
    """A page of lists, in order of the bodies' codes. `next` continues it; None: this was the last one."""

    lists: list[ListLine]
    next: str | None
    as_of: str
    reading: Reading = "now"


def list_page(
    connection: Connection,
    policies: Policies,
    question: SignatureQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> ListPage:
    """The lists that are asked for, with who has signed them. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_limit(question.limit, MOST)
    bodies = bodies_asked(names, question)
    check_list(readable, names, RESPONSIBILITY.name, question.grid)
    sight, found = readable.of(RESPONSIBILITY.name), list[ListLine]()
    (after,) = read_cursor(question.cursor, tuple[str]) if question.cursor else ("",)
    asked = {body.code: (body, signers(names.register, body)) for body in bodies if body.code > after}
    signed = signed_by(connection, names, {code for _, posts in asked.values() for code in posts})
    for _, (body, posts) in sorted(asked.items()):
        if not sight.reads_line(path_text(names.register.path(body.grid)), posts):
            continue
        line = list_line(names, body, posts, signed, here.at)
        if question.unsigned and line.signed == line.asked:
            continue
        if len(found) == question.limit:
            return ListPage(found, write_cursor(found[-1].body.code), names.instant(here.at), here.kind)
        found.append(line)
    return ListPage(found, None, names.instant(here.at), here.kind)


def bodies_asked(names: Names, question: SignatureQuestion) -> list[Body]:
    """The bodies with a list that are asked for. Raises BadQuestion for a body or a post that there is not."""
    register = names.register
    if question.body and question.body not in register.bodies:
        raise BadQuestion("body", "the active pack has no body of this code", "send the code of one of bodies.csv")
    if question.post and question.post not in register.posts:
        raise BadQuestion("post", "the active pack has no post of this code", "send the code of one of posts.csv")
    return [
        body
        for body in register.pack.bodies
        if duties_of_body(register, body.code)
        and question.body in ("", body.code)
        and (not question.grid or question.grid in register.path(body.grid))
        and (not question.post or question.post in signers(register, body))
    ]


def signed_by(connection: Connection, names: Names, posts: set[str]) -> dict[tuple[str, str, str], int]:
    """When these posts first signed what, by body, hash of the list, and post. A signature counts from the first day of
    a post on: who takes over signs anew."""
    days, found = names.register.clock_of_days, dict[tuple[str, str, str], int]()
    for post, at, text in signatures.read_signatures(connection, RESPONSIBILITY.name, posts):
        own, begins = cases.decode(text).own, names.register.posts[post].valid_from
        if isinstance(own, Responsibility) and (not begins or at >= days.day_start(begins)):
            found.setdefault((own.body, own.list, post), at)
    return found


def list_line(
    names: Names, body: Body, posts: tuple[str, ...], signed: Mapping[tuple[str, str, str], int], at: int
) -> ListLine:
    """The list of a body as it is now, and who has signed it."""
    register, current = names.register, list_hash(names.register, body)
    standing = [code for code in posts if register.stands(register.posts[code], at)]
    when = {code: signed.get((body.code, current, code)) for code in standing}
    duties = [Answering(body, row) for row in duties_of_body(register, body.code)]
    return ListLine(
        body=body_named(names, body),
        hash=current,
        subject=f"{register.home(body.grid)}.",
        asked=len(standing),
        signed=sum(instant is not None for instant in when.values()),
        signatures=[SignatureLine(post=names.post(code), signed_at=names.maybe(when[code])) for code in standing],
        duties=[line_of(names, each, standing) for each in duties],
    )
