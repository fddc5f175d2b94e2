"""Alarms over what the service really tells: silent over an hour of the shipped demo, and each fault has its own.

In: the demo's month and an hour of its people, by a clock that a test moves; real parts that are broken one by one.
Out: which alarms fire, as promtool finds by the shipped rules. Without promtool all of it is skipped.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest
from sqlalchemy.exc import OperationalError

from consumers.performance import consume
from engine import admission
from engine.clock import now_ms
from engine.cluster import partition_consumer
from engine.errors import DatabaseUnusable
from engine.http.app import create_app
from engine.http.limits import Gate
from engine.http.uvicorn_quirks import LimitedServer
from engine.metrics import gauges
from engine.metrics.counters import Counters
from engine.packs import folder_of
from engine.runtime import Engine
from engine.settings import Settings
from engine.store.database import Database
from engine.store.meta import write_meta
from engine.store.sql import execute
from engine.writer import Writer
from gridpatrol.cli import main
from gridpatrol.demo.traffic import Traffic
from gridpatrol.run import demo
from gridpatrol.run.wiring import writing
from schemas.refusals import Refusal
from tests.integration.test_monitoring import ALARMS, worker_of
from tests.integration.test_standing import broken
from tests.support.builders import BARE, DAY, HOTLINE, HOUR, LEAF, event, instant, subject
from tests.support.fast_clock import Day, FastClock
from tests.support.rule_tests import Scrape, firing
from tests.support.serving import config_of, prepared, running, tell

PROMTOOL = shutil.which("promtool") or ""
pytestmark = pytest.mark.skipif(not PROMTOOL, reason="no promtool here (Debian package prometheus)")

SCRAPE_S = 30
HOUR_S = 3600
RATE = 0.5
"""Events per second: half of what `make run` shows."""


def test_no_alarm_fires_over_an_hour_of_the_shipped_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FastClock(datetime.fromisoformat("2026-03-02T09:30+08:00").timestamp())
    clock.stand_in(monkeypatch)
    settings = Settings(database=f"sqlite:///{tmp_path / 'demo.db'}")
    scrapes: list[Scrape] = []
    with writing(settings, Counters()) as engine:
        demo.prepare(engine, tmp_path / "month")
        writer = Writer(engine)
        writer.start()
        app, begun_s = create_app(writer, engine.database), clock.passed_s

        def passed() -> None:
            """Time has passed: what fell due is decided before more of it does, and Prometheus comes by."""
            for _ in range(2):  # a turn may have begun before the time passed
                writer.call(lambda _: None).result()
            while clock.passed_s - begun_s >= len(scrapes) * SCRAPE_S:
                scrapes.append({"serve": generate_latest(engine.counters.registry).decode()})

        with running(LimitedServer(config_of(app), Gate(settings, engine.counters))) as port:
            url, folder = f"http://127.0.0.1:{port}", folder_of("weiyang")
            people = Traffic(url, folder, 1, now=clock.time, rate=RATE)
            day = Day(clock, HOUR_S, passed)
            people.run(day)
            day.set()
        writer.stop()
    assert len(scrapes) >= HOUR_S // SCRAPE_S
    first, last = scrapes[0]["serve"], scrapes[-1]["serve"]
    before, after = (value(page, "gridpatrol_timer_lateness_seconds_count") for page in (first, last))
    assert after > before + 30, "deadlines fell due in that hour"
    minutes = range(60, HOUR_S, 60)
    assert firing(PROMTOOL, tmp_path, {"demo": scrapes}, SCRAPE_S, minutes) == {"demo": set()}


def value(page: str, name: str) -> float:
    """The value of a sample without labels."""
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


# ---- a fault, its alarm -------------------------------------------------------------------------------------

MINUTE_S = 60
WELL_MIN, FAULT_MIN = 20, 150


class Site:
    """A process with its door on a database of its own, whose log `tell` writes and decides; or gateway and worker."""

    def __init__(self, engine: Engine, patch: pytest.MonkeyPatch, cluster: bool) -> None:
        self.engine, self.patch, self.figures = engine, patch, True
        self.writer = Writer(engine)
        patch.setattr(self.writer, "is_alive", lambda: True)  # what it would do, `tell` does
        create_app(self.writer, engine.database)
        self.jobs = {"serve": engine.counters.registry}
        if cluster:
            self.member = worker_of(engine)
            self.member.inbox.heads = {p: row.position for p, row in self.member.engine.rows.items()}
            counters = self.member.engine.counters
            counters.ready.set_function(lambda: not self.member.ready())
            self.jobs = {"gateway": engine.counters.registry, "worker": counters.registry}
        with engine.database.begin() as connection:
            write_meta(connection, gauges.MISMATCHES, "0")
        consume.consume(engine.database)

    def append(self, said: dict[str, Any], at: int) -> None:
        """Let an event have come at an instant, undecided."""
        received = admission.receive(msgspec.json.encode(said), "test", self.engine.count)
        assert not isinstance(received, Refusal)
        self.engine.append([received[0]], at)

    def tell(self, said: dict[str, Any], at: int) -> str:
        """Let an event have come at an instant, and the figures follow; what became of it."""
        outcome = tell(self.engine, said, at)
        if self.figures:
            consume.consume(self.engine.database)
        return outcome

    def scrape(self) -> Scrape:
        """What Prometheus is told just now."""
        return {job: generate_latest(registry).decode() for job, registry in self.jobs.items()}


def reported(number: int, at: int, **data: Any) -> dict[str, Any]:
    """A report that came at an instant."""
    told = {"category": BARE, "source": "hotline", "grid": LEAF} | data
    return event("report.submitted", HOTLINE, at, case=subject("WY01", number), id=f"e{number}", **told)


def all_is_well(_: Site) -> None:
    """No fault."""


def writer_stops(site: Site) -> None:
    site.writer.failure = RuntimeError("a defect")


def clock_jumps(site: Site) -> None:
    site.engine.wall.look({}, ())
    FastClock(now_ms() / 1000 + 120).stand_in(site.patch)
    site.engine.wall.look({}, ())


def stamp_is_ahead(site: Site) -> None:
    site.append(reported(1, now_ms()), now_ms() + HOUR)
    site.engine.work(now_ms())


def event_is_refused(site: Site) -> None:
    assert site.tell(reported(1, now_ms(), category="no-such"), now_ms()) == "refused"


def figure_is_edited(site: Site) -> None:
    site.tell(reported(1, now_ms()), now_ms())
    with site.engine.database.begin() as connection:
        execute(connection, "UPDATE figures SET value = value + 1")
    url = site.engine.settings.database
    assert CliRunner().invoke(main, ["verify", "--database", url]).exit_code == 1


def nobody_verifies(site: Site) -> None:
    with site.engine.database.begin() as connection:
        execute(connection, "DELETE FROM meta WHERE name = ?", gauges.MISMATCHES)


def rule_fails(site: Site) -> None:
    site.tell(reported(1, now_ms()), now_ms())
    with broken("case.commented"):
        said = event("comment.added", HOTLINE, now_ms(), case=subject("WY01", 1), id="said", text="…")
        site.tell(said, now_ms())


def database_goes_away(site: Site) -> None:
    def away(_: Database) -> Iterator[None]:
        raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))

    site.patch.setattr(Database, "read", away)


def process_ends(site: Site) -> None:
    site.jobs.clear()


def files_are_used_up(site: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = int(value(site.scrape()["serve"], "process_open_fds"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 3, hard))
    try:
        page = site.scrape()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    site.patch.setattr(site, "scrape", lambda: page)


def ten_cases_are_forgotten(site: Site) -> None:
    for number in range(10):
        site.tell(reported(number, now_ms() - 20 * DAY), now_ms() - 20 * DAY + number)
    site.tell(reported(99, now_ms()), now_ms())


def nothing_fires(site: Site) -> None:
    # By order, since working hours may all lie ahead: a report of Friday evening is due on Monday.
    at = now_ms() - 2 * DAY
    site.tell(reported(1, at, deadline=instant(at + DAY)), at)


def nobody_decides(site: Site) -> None:
    site.append(reported(1, now_ms()), now_ms() - 10 * 60_000)


def consumer_stops(site: Site) -> None:
    site.figures = False
    site.tell(reported(1, now_ms()), now_ms())


def worker_hangs(site: Site) -> None:
    site.member.began_s -= 90


def worker_loses_partitions(site: Site) -> None:
    del site.member.inbox.heads[0]


def topic_is_cut(site: Site) -> None:
    site.member.inbox.gaps[1] = 12


def worker_has_enough(site: Site) -> None:
    site.patch.setattr(partition_consumer, "ENOUGH", 0)


FAULTS: dict[Callable[[Site], None], set[str]] = {
    all_is_well: set(),
    writer_stops: {"GridpatrolNotReady"},
    clock_jumps: {"GridpatrolClockDoubted", "GridpatrolNotReady"},
    stamp_is_ahead: {"GridpatrolPartitionHalted", "GridpatrolInboxStalled"},
    event_is_refused: {"GridpatrolDeadLettersRising"},
    figure_is_edited: {"GridpatrolReconcileMismatch"},
    nobody_verifies: {"GridpatrolNeverVerified"},
    rule_fails: {"GridpatrolCasesStand"},
    database_goes_away: {"GridpatrolStateUnreadable"},
    process_ends: {"GridpatrolProcessDown", "GridpatrolRoleDown", "GridpatrolStateUnreadable"},
    files_are_used_up: {"GridpatrolFilesRunOut"},
    ten_cases_are_forgotten: {"GridpatrolOverdueInGrid", "GridpatrolLongOverdue"},
    nothing_fires: {"GridpatrolTimerLag"},
    nobody_decides: {"GridpatrolInboxStalled", "GridpatrolInboxOld"},
    consumer_stops: {"GridpatrolConsumerStuck"},
}
"""What is broken -> all alarms that fire because of it, and no other."""
OF_CLUSTER: dict[Callable[[Site], None], set[str]] = {
    all_is_well: set(),
    worker_hangs: {"GridpatrolWorkerStuck", "GridpatrolNotReady"},
    worker_loses_partitions: {"GridpatrolPartitionsUnowned"},
    topic_is_cut: {"GridpatrolInboxGap"},
    worker_has_enough: {"GridpatrolBackpressure"},
}


def database_takes_nothing(site: Site, _: int) -> None:
    def full(*_: Any) -> None:
        raise DatabaseUnusable("the database is full")

    site.patch.setattr(site.engine, "append", full)
    site.patch.setattr(site.writer, "away_s", 0)
    received = admission.receive(msgspec.json.encode(reported(1, now_ms())), "test", site.engine.count)
    assert not isinstance(received, Refusal)
    ask = site.writer.submit(received[0])
    with pytest.raises(DatabaseUnusable) as error:
        site.writer.write_batch()
    site.writer.wait_out(error.value)  # as its loop does
    assert ask.durable.exception() is not None


def due_instant_waits(site: Site, minute: int) -> None:
    """What falls due in a day fires only when the next event comes, at its end."""
    site.tell(reported(1000 + minute, at := now_ms() - (60 - minute) * DAY), at)


def phone_comes_back(site: Site, minute: int) -> None:
    """A report of a day ago arrives: what was past then is past at once, and nothing is late by it."""
    site.tell(reported(1000 + minute, now_ms() - DAY), now_ms())


def photos_find_no_room(site: Site, _: int) -> None:
    """A phone tries once a minute."""
    site.engine.counters.door.files.refused.labels("store_away").inc()


GOES_ON: dict[Callable[[Site, int], None], set[str]] = {
    database_takes_nothing: {"GridpatrolNotTaken", "GridpatrolNotReady"},
    photos_find_no_room: {"GridpatrolFilesNotKept"},
    phone_comes_back: set(),
    due_instant_waits: {"GridpatrolFiresLate", "GridpatrolTimerLag"},
}
"""What happens again every minute -> all alarms of operations that fire because of it."""


def test_what_goes_on_going_wrong_has_its_alarm_and_a_phone_that_comes_back_has_none(tmp_path: Path) -> None:
    cases: dict[str, list[Scrape]] = {}
    for number, fault in enumerate(GOES_ON):
        with pytest.MonkeyPatch.context() as patch, prepared(f"sqlite:///{tmp_path / f'{number}.db'}") as engine:
            site = Site(engine, patch, cluster=False)
            scrapes = cases[fault.__name__] = []
            for minute in range(30):
                fault(site, minute)
                scrapes.append(site.scrape())
    found = firing(PROMTOOL, tmp_path, cases, MINUTE_S, range(5 * MINUTE_S, 30 * MINUTE_S, MINUTE_S))
    supervision = {rule["alert"] for rule in ALARMS if rule["labels"]["audience"] == "supervision"}
    assert {name: alarms - supervision for name, alarms in found.items()} == {f.__name__: a for f, a in GOES_ON.items()}


@pytest.mark.parametrize("faults", [FAULTS, OF_CLUSTER], ids=["one process", "cluster"])
def test_each_fault_has_its_alarms_and_what_is_well_has_none(
    faults: dict[Callable[[Site], None], set[str]], tmp_path: Path
) -> None:
    cases: dict[str, list[Scrape]] = {}
    for number, fault in enumerate(faults):
        with pytest.MonkeyPatch.context() as patch, prepared(f"sqlite:///{tmp_path / f'{number}.db'}") as engine:
            site = Site(engine, patch, faults is OF_CLUSTER)
            cases[fault.__name__] = [site.scrape()] * WELL_MIN
            fault(site)
            cases[fault.__name__] += [site.scrape()] * FAULT_MIN
    at = range(WELL_MIN * MINUTE_S, (WELL_MIN + FAULT_MIN) * MINUTE_S, 5 * MINUTE_S)
    assert firing(PROMTOOL, tmp_path, cases, MINUTE_S, at) == {f.__name__: alarms for f, alarms in faults.items()}
