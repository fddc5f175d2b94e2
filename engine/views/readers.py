"""What a principal reads, as of now: asked once for each question, and answered with a reason where that is nothing.

A question that names a grid, a kind or a unit of which nothing is read is refused with the rule (`NotReadable`): the
register is no secret. One that names a case or an event is answered as if there were none: whether there is one, and
where, is known to those who read it.
"""

from msgspec import structs

from engine.policies import Policies
from engine.principals import Principal
from engine.store import incident_queries
from engine.store.database import Connection
from engine.views import speaking
from engine.views.names import Names, prefix_of
from engine.views.questions import Unanswerable
from workflows.policy.index import Policy
from workflows.policy.model import Post
from workflows.reading import READS_EVERYTHING, Readable, resolve


class NotReadable(Unanswerable):
    """Nothing of what is asked for is read by who asks."""


def readable_by(connection: Connection, policies: Policies, principal: Principal, now: int) -> Readable:
    """What a principal reads at an instant (ms UTC): everything, or by the posts of the active pack; without one
    nothing."""
    if reads_everything(principal):
        return READS_EVERYTHING
    digest = incident_queries.read_active(connection)
    if digest is None:
        return Readable(principal.name)
    register = policies.get(connection, digest)
    return resolve(principal.name, principal.reads, posts_of(principal, register), register, now)


def reads_everything(principal: Principal) -> bool:
    """Whether nothing is kept from a principal, whatever the register says."""
    return bool(principal.reads) and principal.reads.whole


def posts_of(principal: Principal, register: Policy) -> list[Post]:
    """The posts of a register for which a principal speaks."""
    return [register.posts[code] for code in speaking.posts_of(register, principal)]


def extent(readable: Readable, definition: str) -> str:
    """In words, what is read of a kind of case."""
    sight = readable.of(definition)
    grids = [prefix.split("/")[-2] for prefix in sight.prefixes if prefix != "/"]
    words = ["what lies in " + ", ".join(grids)] if grids else []
    if sight.own.posts:
        words.append("what its own posts have to do with")
    return " and ".join(words) or "nothing"


def check_list(readable: Readable, names: Names, definition: str, grid: str) -> None:
    """Refuse a list of a kind or a grid of which nothing is read. Raises NotReadable, and BadQuestion for a grid that
    there is not."""
    prefix = prefix_of(names, grid) if grid else "/"
    if readable.whole:
        return
    sights = [readable.of(definition)] if definition else [readable.usual, *readable.kinds.values()]
    if not any(sights):
        reason = f"principal {readable.who} reads nothing of this kind of case: its `reads` does not name it"
        raise NotReadable("definition", reason, "ask for another kind, or whoever operates this server for more")
    if not any(sight.own.posts or touches(sight.prefixes, prefix) or sight.everything for sight in sights):
        reason = f"principal {readable.who} reads {extent(readable, definition)}, and this grid is no part of it"
        raise NotReadable("grid", reason, "leave the grid out, or ask for one that you read")


def touches(prefixes: tuple[str, ...], prefix: str) -> bool:
    """Whether a subtree holds one of these, or lies in one."""
    return any(own.startswith(prefix) or prefix.startswith(own) for own in prefixes)


def grid_asked(readable: Readable, names: Names, definition: str, grid: str) -> str:
    """The grid of which figures are asked: of who reads one subtree only that one, unless another is named."""
    known = [code for code in readable.grids(definition) if code in names.register.grids]
    return known[0] if not grid and not readable.of(definition).everything and len(known) == 1 else grid


def reads_grid(readable: Readable, register: Policy, definition: str, grid: str) -> bool:
    """Whether figures of a grid, with all below it, are read; not of a grid that there is not."""
    if grid not in register.grids:
        return False
    path = "".join(f"/{code}" for code in register.path(grid)) + "/"
    return readable.of(definition).reads_figures(path, "", "")


def check_figures(readable: Readable, definition: str, path: str, department: str, post: str) -> None:
    """Refuse figures of a subtree or a unit that is not read. Raises NotReadable."""
    sight = readable.of(definition)
    if sight.reads_figures(path, department, post):
        return
    reason = f"principal {readable.who} reads {extent(readable, definition)}, and these figures are of more than that"
    ways = [f"grid={code}" for code in readable.grids(definition)[:5]]
    ways += [f"department={code}" for code in sorted(sight.own.departments)[:5]]
    ways += [f"post={code}" for code in sorted(sight.own.posts)[:5]]
    raise NotReadable("grid", reason, f"ask with {' or '.join(ways)}" if ways else "ask for another kind of case")


def only(readable: Readable, definition: str) -> Readable:
    """The same, where cases of one kind are asked for."""
    return structs.replace(readable, usual=readable.of(definition), kinds={})
