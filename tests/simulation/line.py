"""An engine with one partition, and short ways to speak to it.

Enters: events said at chosen instants. Leaves: what became of them, as facts, steps and dead letters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from consumers.verify import records
from engine import admission
from engine.inbox import Submission
from engine.replay import export_log, replay_log
from engine.runtime import Engine
from engine.store.rows import InboxRow, StepRow
from lab import runs
from lab.runs import engine_on, install, pack_of
from schemas.facts import ClockRung, decode_facts
from schemas.members import Fact
from schemas.refusals import Refusal
from tests.support.builders import at, event, instant, subject, weiyang
from workflows.clocks.calendar import DayRule
from workflows.policy.model import Pack

NOW = at("03-02 09:00")
DUE = at("03-02 12:00")


class Line:
    """An engine, and a way to speak to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sent = 0

    def submission(self, kind: str, by: str, time: int, **rest: Any) -> Submission:
        self.sent += 1
        said = event(kind, by, time, **({"id": f"e{self.sent}"} | rest))
        received = admission.receive(json.dumps(said).encode(), "door", self.engine.count)
        assert not isinstance(received, Refusal), received
        return received[0]

    def say(self, kind: str, by: str, time: int, **rest: Any) -> InboxRow:
        """Append an event that arrives when it occurs."""
        return self.engine.append([self.submission(kind, by, time, **rest)], time)[0]

    def report(
        self, number: int = 1, time: int = NOW, due: int | None = DUE, home: str = "WY01", **rest: Any
    ) -> InboxRow:
        """A service request with an ordered deadline."""
        data = {"category": "D3-04", "source": "hotline", "grid": f"{home}-01", "definition": "service_request"}
        deadline = {} if due is None else {"deadline": instant(due)}
        return self.say("report.submitted", "WY-12345", time, case=subject(home, number), **data, **deadline, **rest)

    def close(self, number: int, time: int, **rest: Any) -> InboxRow:
        return self.say("incident.closed", "WY-DISPATCH", time, case=subject("WY01", number), **rest)

    def operate(self, kind: str, body: str, time: int, home: str = "WY01") -> None:
        """An operator's record."""
        self.engine.append([Submission(self.engine.partition(subject(home)), kind, "operator", body)], time)

    def facts(self, number: int = 1, home: str = "WY01") -> list[Any]:
        return [fact for step in self.steps(number, home) for fact in decode_facts(step.body)]

    def steps(self, number: int = 1, home: str = "WY01") -> list[StepRow]:
        return [step for step in runs.steps(self.engine) if step.case_id == subject(home, number)]

    def of(self, kind: type[Fact], number: int = 1, home: str = "WY01") -> list[Any]:
        return [fact for fact in self.facts(number, home) if isinstance(fact, kind)]

    def breaches(self, number: int = 1) -> list[ClockRung]:
        """The rungs of the whole case's deadline."""
        return [rung for rung in self.of(ClockRung, number) if rung.breach and rung.clock == "total"]

    def letters(self) -> list[tuple[Any, ...]]:
        with self.engine.database.read() as connection:
            sql = "SELECT reason, case_id, event_id, position FROM dead_letters ORDER BY id"
            return [tuple(row) for row in connection.exec_driver_sql(sql)]


@contextmanager
def line_on(url: str, records: int = 500, steps: int = 1000, pack: Pack | None = None) -> Iterator[Line]:
    with engine_on(url, 1, records, steps) as engine:
        install(engine, pack or pack_of("weiyang"))
        yield Line(engine)


def check_export(line: Line, tmp_path: Path) -> None:
    """The log of the run gives the same steps, in slices of one, and what was made of it agrees with it."""
    with line.engine.database.read() as connection:
        assert list(records.findings(connection)) == []
    with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 1, 1, 1) as again:
        replay_log(again, export_log(line.engine))
        assert runs.steps(again) == runs.steps(line.engine)
        assert runs.answers(again) == runs.answers(line.engine)


def sample(*, days_off: Sequence[int] = (), last_day: int = 0, **options: Any) -> Pack:
    """The sample pack with other options, more days off, or an earlier horizon."""
    pack = weiyang().pack
    calendars = tuple(
        msgspec.structs.replace(
            c,
            days=tuple(sorted({d.day: d for d in (*c.days, *map(DayRule, days_off))}.values(), key=lambda d: d.day)),
            last_day=last_day or c.last_day,
        )
        for c in pack.calendars
    )
    options_ = msgspec.structs.replace(pack.options, **options)
    return msgspec.structs.replace(pack, calendars=calendars, options=options_)
