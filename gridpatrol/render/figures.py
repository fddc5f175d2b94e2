"""Performance figures at a terminal."""

import click

from engine.views.performance import FigureRow, PerformancePage
from gridpatrol.render.tables import duration, table

HEADS = (
    "key",
    "name",
    "上报 reported",
    "结案 closed",
    "应结案 closable",
    "结案率",
    "按期结案率",
    "返工率",
    "median",
    "p90",
    "在办 open",
    "超期 overdue",
)
OF_CLOCK = (
    "key",
    "name",
    "按期 on time",
    "超期 overdue",
    "移交 passed on",
    "作废 void",
    "按期率",
    "median",
    "p90",
    "consumed",
    "p90",
)


def figure_table(page: PerformancePage) -> None:
    """Print one line per key. A rate from too few cases stands in brackets: it ranks nothing."""
    days = f"{page.since or 'the beginning'} to {page.until or 'now'}"
    click.echo(f"{page.pack} {page.grid}, {page.definition}, by {page.by or 'all'}, {days}")
    if page.clock:
        table(OF_CLOCK, [_of_clock(row, page.clock) for row in page.rows], right=range(2, 11))
        return
    standing = {row.key: row for row in page.standing}
    rows = []
    for row in page.rows:
        now = standing.get(row.key)
        shares = [rate.basis_points for rate in (row.close_rate, row.on_time_rate, row.rework_rate)]
        brackets = "({})" if row.thin else "{}"
        rows.append(
            (
                row.key,
                row.name,
                row.counts.get("reported", 0),
                row.counts.get("closed", 0),
                row.n,
                *("-" if share is None else brackets.format(f"{share / 100:.2f}%") for share in shares),
                duration(row.median_ms) if row.median_ms is not None else "",
                duration(row.p90_ms) if row.p90_ms is not None else "",
                now.open if now else 0,
                now.overdue if now else 0,
            )
        )
    table(HEADS, rows, right=range(2, 12))
    if any(row.thin for row in page.rows):
        click.echo("(in brackets: too few cases to rank)")


def _of_clock(row: FigureRow, clock: str) -> tuple[object, ...]:
    share, spans = (
        row.on_time_rate.basis_points,
        (row.median_ms, row.p90_ms, row.consumed_median_ms, row.consumed_p90_ms),
    )
    return (
        row.key,
        row.name,
        *(row.counts.get(f"{result}:{clock}", 0) for result in ("on_time", "overdue", "passed_on", "void")),
        "-" if share is None else f"{share / 100:.2f}%",
        *("" if ms is None else duration(ms) for ms in spans),
    )
