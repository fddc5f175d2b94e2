"""What people look at: cases, what became of events, and the sums behind the gauges of state. Reads only.

Pages go by key, never by offset: a page costs the same wherever it lies, and nothing is shown twice because something
before it has gone.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection

from engine.store.reading import case_term
from engine.store.rows import InboxRow, SeenRow
from engine.store.sql import among, execute, fetch, is_sqlite
from workflows.case import Clock
from workflows.definitions import DEFINITIONS
from workflows.reading import READS_EVERYTHING, Readable

SORTS = ("due_at", "opened_at", "id")
"""What a page may be sorted by. Cases without a deadline come after all that have one, in both directions."""

KIND_UNSORTED = "(definition || '')"
"""The kind of a case as no index has it."""
_FIELDS = Clock.__struct_fields__
_NAME, _DUE, _SINCE = (_FIELDS.index(name) for name in ("name", "due", "since"))
"""Where a clock's members stand in its array."""


class Filters(Struct, frozen=True, kw_only=True):
    """Which cases. Empty fields ask nothing. *Overdue* is measured by `now`, milliseconds UTC.

    With a clock, `overdue` and `due_before` ask about that clock's deadline, else about the case's next one.
    """

    now: int
    open: bool | None = True
    overdue: bool = False
    prefix: str = ""  # of the path: a subtree of the grid
    definitions: tuple[str, ...] = ("", *DEFINITIONS)  # of one kind or several; empty: their report is awaited
    owner: str = ""  # code of the owner's grid or department
    holder: "HeldBy | None" = None
    held_in: tuple[str, ...] = ()  # codes of grids, one of which holds it and no department of it
    few: bool = False  # those that hold it hold few: their cases are found by their holder, not by their deadline
    reporter: str = ""  # code of a post
    campaign: str = ""  # code of one of which it counts as a part
    unit: "HeldBy | None" = None  # that it holds, or is responsible for as the owner
    states: tuple[str, ...] = ()
    category: str = ""
    group: str = ""
    clock: str = ""
    due_before: int | None = None
    opened_from: int | None = None  # opened at this instant or later
    channels: tuple[str, ...] = ()  # by one of which it came, of kinds that keep one
    readable: Readable = READS_EVERYTHING  # the condition lets pass all of this, and perhaps more


class HeldBy(Struct, frozen=True):
    """Whose work: what a post holds itself, and what a department holds, or a grid and no department of it."""

    grid: str = ""
    department: str = ""
    post: str = ""


class After(Struct, frozen=True):
    """Where a page begins: after this sort key and id. The key of a case without a deadline is None."""

    key: int | str | None
    id: str


# ---- cases --------------------------------------------------------------------------------------------------


def read_page(
    connection: Connection, filters: Filters, sort: str, descending: bool, after: After | None, limit: int
) -> list[tuple[After, str]]:
    """Cases in order, each with the key after which the next page begins, and its body."""
    if sort in ("id", "opened_at"):
        return _page(connection, filters, sort, descending, after, limit, "")
    rows = []
    if after is None or after.key is not None:
        rows = _page(connection, filters, "due_at", descending, after, limit, "due_at IS NOT NULL")
        after = None
    if len(rows) < limit and not filters.overdue and filters.due_before is None:
        rows += _page(connection, filters, "id", False, after, limit - len(rows), "due_at IS NULL", None)
    return rows


def read_found(
    connection: Connection, filters: Filters, sought: Mapping[str, str], after: str, limit: int
) -> list[tuple[str, str]]:
    """Cases by what identifies them, in the order of their ids after one: (id, body). `sought`: column -> text, of
    `short_number`, `reference` and `id`; a case is found by any of them."""
    terms, values = _conditions(connection, filters)
    terms.append(f"{KIND_UNSORTED} IN ({', '.join('?' * len(filters.definitions))}) AND id > ?")
    values += [*filters.definitions, after]
    parts, given = list[str](), list[Any]()
    for column, text in sought.items():
        indexed = "reference <> '' AND " if column == "reference" else ""
        parts.append(f"SELECT id, body FROM cases WHERE {indexed}{column} = ? AND {' AND '.join(terms)}")
        given += [text, *values]
    rows = execute(connection, f"{' UNION '.join(parts)} ORDER BY id LIMIT ?", *given, limit)
    return [(id_, body) for id_, body in rows]


def _page(
    connection: Connection,
    filters: Filters,
    column: str,
    descending: bool,
    after: After | None,
    limit: int,
    which: str,
    key: object = "",
) -> list[tuple[After, str]]:
    """A part of a page, for each kind of case along one index, and by id alone along the key. `key` None: these cases
    have no sort key of their own."""
    by_id = column == "id" and not which
    if len(filters.definitions) > 1 and not by_id:
        kinds = [structs.replace(filters, definitions=(each,)) for each in filters.definitions]
        found = [row for one in kinds for row in _page(connection, one, column, descending, after, limit, which, key)]
        return sorted(found, key=lambda row: (row[0].key or 0, row[0].id), reverse=descending)[:limit]
    terms, values = _conditions(connection, filters)
    sign, way = ("<", "DESC") if descending else (">", "ASC")
    # By id the key is the order: an index by kind would have to be sorted.
    # Of who holds few, as of one department, the index by holder is the shorter way.
    alone = filters.holder is not None and bool(filters.holder.department) and not filters.holder.post
    by_holder = filters.few or alone
    kind = KIND_UNSORTED if by_id or by_holder else "definition"
    terms.append(f"{kind} IN ({', '.join('?' * len(filters.definitions))})")
    values += filters.definitions
    if which:
        terms.append(which)
    if after is not None and column == "id":
        terms.append(f"id {sign} ?")
        values.append(after.id)
    elif after is not None:
        terms.append(f"({column}, id) {sign} (?, ?)")
        values += [after.key, after.id]
    ordered = f"id {way}" if column == "id" else f"{column} {way}, id {way}"
    sql = f"SELECT {column}, id, body FROM cases WHERE {' AND '.join(terms) or '1 = 1'} ORDER BY {ordered} LIMIT ?"
    rows = execute(connection, sql, *values, limit)
    return [(After(None if key is None else found, id_), body) for found, id_, body in rows]


def _conditions(connection: Connection, filters: Filters) -> tuple[list[str], list[Any]]:
    """The terms of the filters, and their values in order."""
    terms, values = list[str](), list[Any]()

    def ask(term: str, *given: object) -> None:
        terms.append(term)
        values.extend(given)

    if not filters.readable.whole:
        term, given = case_term(connection, filters.readable, filters.definitions)
        ask(term, *given)
    if filters.open is not None:
        ask("open" if filters.open else "NOT open")
    if filters.prefix:
        ask(f"substr(path, 1, {len(filters.prefix)}) = ?", filters.prefix)
    if filters.owner:
        ask("(grid = ? OR department = ?)", filters.owner, filters.owner)
    if filters.holder is not None:
        holder = filters.holder
        ask("holder <> ''")
        if holder.department and holder.post:
            ask("(holder_department = ? OR holder = ?)", holder.department, holder.post)
        elif holder.department:
            ask("holder_department <> '' AND holder_department = ?", holder.department)
        else:
            ask("holder IN (?, ?) AND holder_department = ''", holder.grid, holder.post)
    if filters.held_in:
        holders = ", ".join("?" * len(filters.held_in))
        ask(f"holder <> '' AND holder IN ({holders}) AND holder_department = ''", *filters.held_in)
    if filters.reporter:
        ask("reporter <> '' AND reporter = ?", filters.reporter)
    if filters.campaign:
        ask("campaign <> '' AND campaign = ?", filters.campaign)
    if filters.unit is not None:
        unit = filters.unit
        if unit.department:
            ask(
                "((holder <> '' AND (holder_department = ? OR holder = ?)) OR department = ?)",
                unit.department,
                unit.post,
                unit.department,
            )
        else:
            ask(
                "((holder <> '' AND holder IN (?, ?) AND holder_department = '') OR (grid = ? AND department = ''))",
                unit.grid,
                unit.post,
                unit.grid,
            )
    if filters.states:
        ask(f"state IN ({', '.join('?' * len(filters.states))})", *filters.states)
    if filters.category:
        ask("category = ?", filters.category)
    if filters.group:
        ask("grp = ?", filters.group)
    if filters.opened_from is not None:
        ask("opened_at >= ?", filters.opened_from)
    if filters.channels:
        by = "json_extract(body, '$.own.channel')"
        if not is_sqlite(connection):
            by = "CAST(body AS jsonb) -> 'own' ->> 'channel'"
        ask(f"{by} IN ({', '.join('?' * len(filters.channels))})", *filters.channels)
    before = [t for t in (filters.now if filters.overdue else None, filters.due_before) if t is not None]
    if filters.clock:
        ask(clock_term(connection, len(before)), filters.clock, *before)
    else:
        for instant in before:
            ask("due_at < ?", instant)
    return terms, values


def clock_term(connection: Connection, instants: int) -> str:
    """That a case runs a clock of some name, due before so many instants: the values of the term are these."""
    if is_sqlite(connection):
        source = "json_each(cases.body, '$.clocks') k"
        name, due, since = (f"json_extract(k.value, '$[{i}]')" for i in (_NAME, _DUE, _SINCE))
    else:
        source = "jsonb_array_elements(COALESCE(CAST(cases.body AS jsonb) -> 'clocks', '[]')) k"
        name, due, since = f"k ->> {_NAME}", f"CAST(k ->> {_DUE} AS bigint)", f"k ->> {_SINCE}"
    runs = " AND ".join([f"{name} = ?", f"{since} IS NOT NULL", *[f"{due} < ?"] * instants])
    return f"EXISTS (SELECT 1 FROM {source} WHERE {runs})"


def read_case(connection: Connection, id_: str) -> str | None:
    """The body of a case."""
    return next((body for (body,) in fetch(connection, "SELECT body FROM cases WHERE id = ?", id_)), None)


def read_cases(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """The bodies of these cases by their ids; those that are not in the table are left out."""
    condition, wanted = among(connection, "id", sorted(ids))
    return {id_: body for id_, body in execute(connection, f"SELECT id, body FROM cases WHERE {condition}", wanted)}


def read_numbered(connection: Connection, number: str, definition: str) -> list[str]:
    """The bodies of the cases of a kind that have a short number; two may share one."""
    sql = "SELECT body FROM cases WHERE short_number = ? AND definition = ? ORDER BY id"
    return list(execute(connection, sql, number, definition).scalars())


# ---- events -------------------------------------------------------------------------------------------------


def read_event(
    connection: Connection, source: str, id_: str, partition: int | None = None, actor: str = ""
) -> list[SeenRow]:
    """What became of events of this source and id, in order of arrival: in one partition or in all, of one actor or of
    all. Rows of a release that kept no actor are found for each."""
    names = ", ".join(f"s.{name}" for name in SeenRow.__struct_fields__)
    terms, values = ["s.source = ?", "s.id = ?"], list[object]((source, id_))
    if partition is not None:
        terms.append("p.partition = ?")
        values.append(partition)
    if actor:
        terms.append("s.actor IN (?, '')")
        values.append(actor)
    sql = f"""
        SELECT {names} FROM partitions p JOIN seen s ON s.partition = p.partition
        WHERE {" AND ".join(terms)} ORDER BY s.arrival, s.partition, s.position"""
    return [SeenRow(*row) for row in execute(connection, sql, *values)]


def read_position(connection: Connection, partition: int) -> int:
    """The next position that a partition will decide."""
    position: int = execute(connection, "SELECT position FROM partitions WHERE partition = ?", partition).scalar_one()
    return position


def read_positions(connection: Connection) -> dict[int, int]:
    """The next position that each partition will decide."""
    rows = execute(connection, "SELECT partition, position FROM partitions")
    return {partition: position for partition, position in rows}


def read_waiting(connection: Connection, texts: Sequence[str], limit: int) -> list[InboxRow]:
    """Records that are not decided yet and contain all these texts: an event that is not seen yet may be among them."""
    place = "instr" if is_sqlite(connection) else "strpos"
    terms = " AND ".join(f"{place}(i.body, ?) > 0" for _ in texts)
    sql = f"""
        SELECT i.partition, i.position, i.stamp, i.kind, i.principal, i.body FROM partitions p
        JOIN inbox i ON i.partition = p.partition AND i.position >= p.position
        WHERE i.kind = 'event' AND {terms} ORDER BY i.stamp, i.partition, i.position LIMIT ?"""
    return [InboxRow(*row) for row in execute(connection, sql, *texts, limit)]


# ---- the installation ---------------------------------------------------------------------------------------


def read_active(connection: Connection) -> str | None:
    """The hash of the pack that is active in the first partition; None before the first activation."""
    rows = fetch(connection, "SELECT packs FROM partitions ORDER BY partition LIMIT 1")
    activations: list[tuple[str, int]] = msgspec.json.decode((rows[0][0] if rows else "") or "[]")
    return activations[-1][0] if activations else None


def read_activated_at(connection: Connection) -> int:
    """The arrival (ms UTC) of the activation by which the active pack of the first partition is active; 0: none is."""
    packs = execute(connection, "SELECT packs FROM partitions ORDER BY partition LIMIT 1").scalar_one_or_none()
    activations: list[tuple[str, int]] = msgspec.json.decode(packs or "[]")
    return activations[-1][1] if activations else 0


def read_first_arrival(connection: Connection) -> int | None:
    """When the first step of all was taken (arrival, ms UTC); None: none was."""
    first = "(SELECT f.at FROM facts f WHERE f.partition = p.partition ORDER BY f.n LIMIT 1)"
    sql = f"SELECT min(at) FROM (SELECT {first} AS at FROM partitions p) AS begun"
    found: int | None = execute(connection, sql).scalar_one()
    return found


def read_halted(connection: Connection) -> list[tuple[int, str]]:
    """Partitions that stand still, and why."""
    rows = execute(connection, "SELECT partition, halted FROM partitions WHERE halted <> '' ORDER BY partition")
    return [(partition, why) for partition, why in rows]


# ---- sums for the gauges ------------------------------------------------------------------------------------


def read_first_due(connection: Connection) -> list[tuple[int, str]]:
    """(instant, body) of the case of each partition that is due first: one look into the index each."""
    first = """(SELECT {} FROM cases c WHERE c.partition = p.partition AND c.next_at IS NOT NULL
                ORDER BY c.next_at LIMIT 1)"""
    sql = f"""SELECT * FROM (SELECT {first.format("c.next_at")} AS due, {first.format("c.body")} AS body
              FROM partitions p) AS firsts WHERE due IS NOT NULL"""
    return [(*row,) for row in execute(connection, sql)]


def count_halted(connection: Connection) -> int:
    """Partitions that stand still."""
    return int(execute(connection, "SELECT count(*) FROM partitions WHERE halted <> ''").scalar_one())


def count_waiting(connection: Connection) -> list[tuple[int, int]]:
    """Records of each partition that are in the log and not decided."""
    sql = """
        SELECT p.partition, coalesce((SELECT max(i.position) FROM inbox i WHERE i.partition = p.partition), -1)
               + 1 - p.position FROM partitions p ORDER BY p.partition"""
    return [(partition, max(0, count)) for partition, count in execute(connection, sql)]


def read_oldest_waiting(connection: Connection) -> int | None:
    """The stamp of the record that has waited longest to be decided."""
    sql = "SELECT min(i.stamp) FROM partitions p JOIN inbox i ON i.partition = p.partition AND i.position = p.position"
    stamp: int | None = execute(connection, sql).scalar_one()
    return stamp
