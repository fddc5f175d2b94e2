"""What a user says that values of a foreign record mean: a CSV of `column,value,code`.

One row a value: `source,Twitter,public`. An empty code leaves a department out.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from engine.errors import GridpatrolError
from workflows.policy.csv_tables import Columns, read_table
from workflows.policy.problems import Problems

MOST_TOLD = 5
"""Wrong rows that one sentence names."""


class BadMapping(GridpatrolError):
    """The file cannot be read, or names what there is not. No line of the record was read."""


def read_mapping(
    path: Path, codes: Mapping[str, Collection[str]], optional: Collection[str]
) -> dict[tuple[str, str], str]:
    """(column, value) -> our code. `codes`: which there are for each column; `optional`: columns that may be left out.

    Raises BadMapping with the rows that are wrong.
    """
    problems = Problems()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadMapping(f"{path} is not UTF-8", remedy="save it as CSV in UTF-8") from error
    found, rows = (
        dict[tuple[str, str], str](),
        read_table(text, Columns(path.name, ("column", "value", "code")), problems),
    )
    for row in rows:
        column, value, code = row.text("column"), row.text("value"), row.text("code")
        if column not in codes:
            row.bad("column", f"{column!r} is not mapped", f"use one of: {', '.join(codes)}")
        elif (column, value) in found:
            row.bad("value", f"{value!r} stands twice", "keep one of the rows")
        elif code not in codes[column] and not (code == "" and column in optional):
            known = sorted(codes[column])
            some = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
            row.bad("code", f"{code!r} is no {column} of ours", f"use one of: {some}")
        found[column, value] = code
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        more = f"; and {len(errors) - MOST_TOLD} more" if len(errors) > MOST_TOLD else ""
        raise BadMapping("; ".join(errors[:MOST_TOLD]) + more)
    return found
