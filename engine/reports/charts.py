"""Charts as shapes of SVG, on the server: what a template draws, with no figure that the table beside it has not.

Lengths are units of a field that is `WIDTH` wide. A chart takes presentation attributes and no styles, so that it needs
nothing of a page's policy.
"""

from typing import NamedTuple

from engine.reports.document import Cell, Chart, Points, Share, Span, Table, text_of

WIDTH = 720
LABELS = 170
"""What the labels of bars take of the width."""
ROOM = 90
"""What the figures behind bars take of it."""
STEP = 20
HIGH = 180
"""The height of lines."""
LEFT = 40
MOST_BARS = 40
"""More rows than that are no picture."""
TICKS = 8
STROKES = ("", "6 3", "2 3")
"""How lines differ without colour, in print: dashes."""


class Bar(NamedTuple):
    """A row: its label, its figure, and where its bar lies."""

    label: str
    text: str
    y: int
    width: int


class Line(NamedTuple):
    """A column from row to row: its head, the corners of its line, its dashes, and where its head stands."""

    head: str
    points: str
    dashes: str
    x: int
    y: int


class Tick(NamedTuple):
    """A label of an axis."""

    label: str
    x: int
    y: int


class Drawing(NamedTuple):
    """A chart as it is drawn."""

    title: str
    height: int
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    ticks: tuple[Tick, ...] = ()


def value_of(cell: Cell) -> int:
    """How long a cell is drawn."""
    match cell:
        case Share(points=points):
            return points or 0
        case Span(ms=ms):
            return ms or 0
        case Points(hundredths=number):
            return number or 0
        case int():
            return cell
        case _:
            return 0


def drawing_of(table: Table) -> Drawing | None:
    """The chart of a table; None where it has none, or nothing to draw."""
    chart = table.chart
    if chart is None or not table.rows:
        return None
    return drawn_bars(table, chart) if chart.shape == "bars" else drawn_lines(table, chart)


def drawn_bars(table: Table, chart: Chart) -> Drawing | None:
    """A bar for each row that has the figure; shares are drawn of 100 %."""
    [number] = chart.values
    heads = 1 if table.columns[1].figures is False else 0
    shown = [row for row in table.rows if text_of(row[number]) != "—"][:MOST_BARS]
    most = max((10_000 if isinstance(row[number], Share) else value_of(row[number]) for row in shown), default=0)
    if most <= 0:
        return None
    room = WIDTH - LABELS - ROOM
    bars = tuple(
        Bar(str(row[heads]), text_of(row[number]), at * STEP, value_of(row[number]) * room // most)
        for at, row in enumerate(shown)
    )
    return Drawing(chart.title, len(bars) * STEP, bars)


def drawn_lines(table: Table, chart: Chart) -> Drawing | None:
    """A line for each column, over the rows from left to right."""
    rows = table.rows
    most = max((value_of(row[number]) for row in rows for number in chart.values), default=0)
    if len(rows) < 2 or most <= 0:
        return None
    room, high = WIDTH - LEFT - ROOM, HIGH - 2 * STEP
    across = [LEFT + at * room // (len(rows) - 1) for at in range(len(rows))]

    def down(row: tuple[Cell, ...], number: int) -> int:
        return STEP + high - value_of(row[number]) * high // most

    lines, taken = list[Line](), list[int]()
    for dashes, number in zip(STROKES, chart.values, strict=False):
        points = " ".join(f"{x},{down(row, number)}" for x, row in zip(across, rows, strict=True))
        y = down(rows[-1], number)
        while any(abs(y - other) < 14 for other in taken):  # heads that would lie on each other
            y -= 14
        taken.append(y)
        lines.append(Line(table.columns[number].head, points, dashes, across[-1] + 6, y + 4))
    every = -(-len(rows) // TICKS)
    ticks = [
        Tick(str(row[0]), x, HIGH - 4) for at, (x, row) in enumerate(zip(across, rows, strict=True)) if not at % every
    ]
    ticks += [Tick(str(value), LEFT - 6, STEP + high - value * high // most + 4) for value in sorted({0, most})]
    return Drawing(chart.title, HIGH, lines=tuple(lines), ticks=tuple(ticks))
