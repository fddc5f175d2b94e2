"""Letters to neighbours (毗邻地区), who read nothing here: what they are told of a case says where the problem lies and
until when their answer is asked for, as both are when the letter is written."""

from collections.abc import Mapping

from msgspec import structs

from engine.store import slices
from engine.store.database import Connection
from schemas.messages import Line
from workflows import case as cases
from workflows.policy.index import Policy


def letters(connection: Connection, lines: Mapping[int, Line], register: Policy) -> dict[int, Line]:
    """These lines of the feed; those that move a case to write to a neighbour with its place and deadline."""
    written = {
        line.case for line in lines.values() if line.case and not register.neighbours.keys().isdisjoint(line.recipients)
    }
    found = {id_: cases.decode(body) for id_, _, body in slices.read_cases(connection, sorted(written))}
    told = dict(lines)
    for number, line in lines.items():
        case = found.get(line.case)
        if case is None or case.own is None or case.own.writes_to not in line.recipients:
            continue
        place = register.path(case.own.writes_of) if case.own.writes_of in register.grids else ()
        path = f"/{'/'.join(place)}/" if place else line.path
        told[number] = structs.replace(line, path=path, due=case.due_at if line.due is None else line.due)
    return told
