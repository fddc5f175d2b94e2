"""The story of one incident, one line per step: when, the state it led to, who, and a sentence per fact.

Chinese stands beside English, since the field's terms are Chinese.
"""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from engine.store.rows import StepRow
from engine.views.local_times import LocalClock
from engine.views.names import Names
from engine.views.story import StepText, definition_of
from gridpatrol.render.tables import pad
from schemas import facts


def story(steps: Sequence[StepRow], names: Names) -> Iterator[str]:
    """One line per step. The year stands in the first line, and wherever it is another one than in the line above."""
    clock = LocalClock(names)
    decoded = [(step, facts.decode_facts(step.body)) for step in steps]
    definition = definition_of(known for _, known in decoded)
    lines = [StepText(step, known, definition, names, clock) for step, known in decoded]
    columns = [(clock.minute(line.instant)[5:], line.state, line.speaker) for line in lines]
    widths = [max((cell_len(row[i]) for row in columns), default=0) for i in range(3)]
    above = ""
    for line, row in zip(lines, columns, strict=True):
        year = clock.minute(line.instant)[:5]
        begin = year if year != above else " " * len(year)
        above = year
        padded = [pad(text, width) for text, width in zip(row, widths, strict=True)]
        yield f"{begin}{'  '.join(padded)}  {'; '.join(line.sentences)}".rstrip()
