"""The conditions of what a principal reads (`workflows.reading`), for listings.

Of cases the condition lets pass all that the principal reads, and perhaps more: the subtrees exactly, and of what its
own units have to do with every case whose body names one of them. Whoever lists cases asks `Sight.reads_case` of each
row. Of alerts, notices and lines of the feed the condition is exact.
"""

from collections.abc import Callable, Collection

import msgspec
from sqlalchemy import Connection

from engine.store.sql import among, is_sqlite
from workflows.reading import Readable, Sight

Term = tuple[str, list[object]]
"""A condition, and its values in order."""
MOST_NAMES = 64
"""So many codes a body is searched for at most: a principal with more units of its own is asked of each case."""
TRUE, FALSE = "1 = 1", "1 = 0"


def case_term(connection: Connection, readable: Readable, definitions: Collection[str]) -> Term:
    """The condition on `cases`, of rows of these definitions."""
    return _by_kind(readable, definitions, lambda sight: _of_cases(connection, sight))


def line_term(connection: Connection, readable: Readable) -> Term:
    """The condition on `alerts`, `notices` or `deliveries`, which have definition, path and recipients."""
    return _by_kind(readable, None, lambda sight: _of_lines(connection, sight))


def _by_kind(readable: Readable, definitions: Collection[str] | None, term_of: Callable[[Sight], Term]) -> Term:
    """The condition of each kind that has a sight of its own, and the usual one of all others."""
    if readable.whole:
        return TRUE, []
    named = [name for name in readable.kinds if definitions is None or name in definitions]
    if definitions is not None and len(definitions) == 1:
        return term_of(readable.of(next(iter(definitions))))
    usual, values = term_of(readable.usual)
    if not named:
        return usual, values
    others = f"definition NOT IN ({', '.join('?' * len(named))})"
    parts, given = [f"({others} AND {usual})"], [*named, *values]
    for name in named:
        term, values = term_of(readable.kinds[name])
        parts.append(f"(definition = ? AND {term})")
        given += [name, *values]
    return f"({' OR '.join(parts)})", given


def _within(sight: Sight) -> tuple[list[str], list[object]]:
    """The conditions of the subtrees."""
    terms, values = list[str](), list[object]()
    for prefix in sight.prefixes:
        terms.append(f"substr(path, 1, {len(prefix)}) = ?")
        values.append(prefix)
    return terms, values


def _joined(terms: list[str], values: list[object]) -> Term:
    return (f"({' OR '.join(terms)})" if terms else FALSE), values


def _of_cases(connection: Connection, sight: Sight) -> Term:
    if sight.everything:
        return TRUE, []
    terms, values = _within(sight)
    names = [f'"{_inside(code)}"' for codes in sight.own for code in sorted(codes)]
    names += [f'/{_inside(code)}/"' for code in sorted(sight.own.grids)]  # who holds or held it, by its path
    inner = [f'"{_inside(code)}"' for codes in sight.inner for code in sorted(codes)]
    inner = [name for name in inner if name not in names]
    if len(names) + len(inner) > MOST_NAMES:
        return TRUE, []
    place = "instr" if is_sqlite(connection) else "strpos"
    terms += [f"{place}(body, ?) > 0"] * len(names)
    if inner:  # what is concealed lies nowhere
        terms.append(f"(path = '/' AND ({' OR '.join([f'{place}(body, ?) > 0'] * len(inner))}))")
    return _joined(terms, [*values, *names, *inner])


def _inside(code: str) -> str:
    """A code as it stands inside a text of a body."""
    return msgspec.json.encode(code).decode()[1:-1]


def _of_lines(connection: Connection, sight: Sight) -> Term:
    if sight.everything:
        return TRUE, []
    terms, values = _within(sight)
    # What lies nowhere is concealed, and read by the posts that it tells, whatever else is read of the kind.
    for which, posts in (("path <> '/'", sorted(sight.own.posts)), ("path = '/'", sorted(sight.inner.posts))):
        if not posts:
            continue
        listed = "json_each(nullif(recipients, '')) AS told"
        if not is_sqlite(connection):
            listed = "jsonb_array_elements_text(CAST(nullif(recipients, '') AS jsonb)) AS told(value)"
        among_them, wanted = among(connection, "told.value", posts)
        terms.append(f"({which} AND EXISTS (SELECT 1 FROM {listed} WHERE {among_them}))")
        values.append(wanted)
    return _joined(terms, values)
