"""People of the demo: three posts of the active pack, each with a token of its own in a file that only its owner reads.

A token is given as an operator gives one (`gridpatrol principal add`). It stays over starts. One that whoever tries the
demo has rotated or withdrawn is given anew by the next start.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from engine.clock import now_ms
from engine.files import opener
from engine.operations import tokens
from engine.operations.tokens import PersonWanted, TokenWanted
from engine.principals import Written, digest_of
from engine.runtime import Engine
from engine.store import people
from gridpatrol import options
from workflows.policy.index import Policy
from workflows.policy.model import Post


class Person(Struct, frozen=True):
    """Who has a token: its file, its post, and what it reads; None: by the role of the post."""

    name: str
    post: Post
    reads: Written | None = None


def people_of(policy: Policy) -> list[Person]:
    """A member of the first leaf grid, the chief of its home, and who supervises the root of homes; those that the pack
    has. By its role a member reads what its post has to do with, and a chief its grid as well."""
    posts = [post for post in policy.pack.posts if not post.vacant and not post.machine]
    member = next((p for p in posts if p.role == "member" and policy.grids[p.grid].level == policy.leaf_level), None)
    if member is None:
        return []
    home = policy.home(member.grid)
    above = policy.path(home)[-2] if len(policy.path(home)) > 1 else home
    return [Person("member", member), *_first("chief", posts, home), *_first("supervisor", posts, above, [above])]


def _first(role: str, posts: list[Post], grid: str, reads: Written | None = None) -> Iterator[Person]:
    """The first post of a role in a grid, if there is one."""
    for post in posts:
        if post.role == role and post.grid == grid:
            yield Person(role, post, reads)
            return


def give_tokens(engine: Engine, persons: list[Person], folder: Path) -> None:
    """See that each has a token, and that its file in the folder has it."""
    for person in persons:
        file, code = token_file(folder, person), person.post.code
        kept = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
        with engine.database.read() as connection:
            held = people.of_post(connection, code, now_ms())
        if kept and any(row.digest == digest_of(kept) and not row.ended for row in held):
            continue
        if held:
            issued = tokens.rotate(engine, code, TokenWanted(at_once=True), options.operator())
        else:
            issued = tokens.add(engine, PersonWanted(code, person.reads), options.operator())
        with open(file, "w", encoding="utf-8", opener=opener) as out:
            out.write(issued.token + "\n")


def token_file(folder: Path, person: Person) -> Path:
    """Where the token of a person lies."""
    return folder / f"{person.name}.token"
