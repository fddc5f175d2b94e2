"""Generated blocks of the README and docs/: diagrams, one incident's story, one explained deadline, metrics, the proof.

They stand between `<!-- begin NAME -->` and `<!-- end NAME -->`; `make fresh` writes them anew, and a test fails when
one is stale.
"""

import contextlib
import io
import re
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from engine.metrics import definitions as d
from engine.metrics.counters import Counters, FoldCounters, intake_records
from engine.policies import Policies
from engine.replay import replay_events
from engine.settings import Settings
from engine.store import exports
from engine.views import incident_detail as detail
from engine.views.duties import DutyQuestion, duty_page
from engine.views.names import active_names
from gridpatrol.render import permissions
from gridpatrol.render.duties import print_duties
from gridpatrol.render.incidents import incident_detail
from gridpatrol.run import city
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty, read_pack, writing
from schemas.derived_ids import derived_subject
from schemas.envelope import to_ms
from workflows.clocks.calendar import Calendar
from workflows.clocks.explain import explain, render
from workflows.clocks.limits import parse_limit
from workflows.definitions import DEFINITIONS
from workflows.machine import Definition, mermaid
from workflows.policy.index import Policy

README = Path(__file__).parents[2] / "README.md"
DOCS = README.parent / "docs"
CASE = "WY01.019ca8f8-5a00-7000-8000-000000000001"
STORY: tuple[tuple[str, str, str, str, dict[str, str]], ...] = (
    (
        "03-02T09:00",
        "",
        "report.submitted",
        "WY01-01-MEMBER",
        {"category": "D3-01", "source": "patrol", "grid": "WY01-01"},
    ),
    ("03-02T09:05", "", "dissuasion.recorded", "WY01-01-MEMBER", {"outcome": "ineffective"}),
    ("03-02T09:10", "03-02T09:30", "incident.reported_up", "WY01-01-MEMBER", {}),
    ("03-02T10:00", "", "incident.accepted", "WY01-CHIEF", {}),
    ("03-02T10:10", "", "incident.dispatched", "WY01-CHIEF", {"lead": "WY-BUILD"}),
    ("03-02T11:00", "", "department.arrived", "WY-BUILD-H", {"department": "WY-BUILD"}),
    ("03-02T16:40", "", "handling.completed", "WY-BUILD-H", {}),
    ("03-02T17:20", "", "verification.recorded", "WY01-01-MEMBER", {"outcome": "solved"}),
    ("03-02T17:30", "", "incident.closed", "WY01-01-CHIEF", {}),
)
"""When it happened, when it arrived if the phone was offline, what was said, by whom, with what."""
UNTIL = "03-03T09:00"


def timeline() -> str:
    """One incident of an engine's own database, shown as the command shows it."""
    lines = []
    for number, (time, arrival, trigger, actor, data) in enumerate(STORY, 1):
        event: dict[str, object] = {
            "specversion": "1.0",
            "id": str(number),
            "source": "app/readme",
            "type": f"gridpatrol.{trigger}.v1",
            "subject": CASE,
            "time": _instant(time).isoformat(),
            "actor": actor,
            "data": data,
        }
        if arrival:
            event["recordedtime"] = _instant(arrival).isoformat()
        lines.append(msgspec.json.encode(event))
    with tempfile.TemporaryDirectory() as folder, writing(_settings(folder)) as engine:
        install_if_empty(engine, BEFORE_ALL)
        replay_events(engine, lines, "readme", to_ms(_instant(UNTIL)))
        policies = Policies()
        with engine.database.read() as connection, contextlib.redirect_stdout(io.StringIO()) as output:
            found = detail.incident_detail(connection, policies, CASE, to_ms(_instant(UNTIL)))
            incident_detail(found, exports.steps_of(connection, CASE), active_names(connection, policies))
    return f"```\n{output.getvalue().rstrip()}\n```"


WALKED_AT = ("16:20", "09:40", "17:05")
MISSED, TOLD_LATE, EXCUSED = (9, 24), (17,), (20,)
"""Days of March on which a patrol is forgotten, told two days later, and excused."""


def month() -> str:
    """A month of one post, shown as the command shows it: an engine of its own bears what is owed there."""
    pack = read_pack("weiyang")
    path = Policy(pack, "").path("WY01-01")
    pack = msgspec.structs.replace(pack, posts=tuple(post for post in pack.posts if post.grid in path))
    days = Policy(pack, "").clock_of_days
    said = list[tuple[datetime, dict[str, object]]]()
    for day in range(1, 29):
        if day in MISSED:
            continue
        trigger, actor, data = "duty.recorded", "WY01-01-MEMBER", dict[str, str]()
        if day in EXCUSED:
            trigger, actor, data = "duty.excused", "WY01-CHIEF", {"reason": "weather"}
        time, begins = _instant(f"03-{day:02d}T{WALKED_AT[day % 3]}"), days.day_start(20260300 + day)
        event: dict[str, object] = {
            "specversion": "1.0",
            "id": str(day),
            "source": "app/readme",
            "type": f"gridpatrol.{trigger}.v1",
            "subject": derived_subject("WY01", "duty", "PATROL", "WY01-01-MEMBER", 20260300 + day, begins),
            "time": time.isoformat(),
            "actor": actor,
            "data": data,
        }
        arrival = time + timedelta(days=2) if day in TOLD_LATE else time
        said.append((arrival, event | ({"recordedtime": arrival.isoformat()} if arrival > time else {})))
    lines = [msgspec.json.encode(event) for _, event in sorted(said, key=itemgetter(0))]
    with tempfile.TemporaryDirectory() as folder, writing(_settings(folder)) as engine:
        engine.install(pack, BEFORE_ALL)
        engine.drain()
        until = to_ms(_instant("03-28T20:00"))
        replay_events(engine, lines, "readme", until)
        with engine.database.read() as connection, contextlib.redirect_stdout(io.StringIO()) as output:
            question = DutyQuestion(post="WY01-01-MEMBER", period="month")
            print_duties("WY01-01-MEMBER", duty_page(connection, Policies(), question, until))
    return f"```\n{output.getvalue().rstrip()}\n```"


def _settings(folder: str) -> Settings:
    return Settings(database=f"sqlite:///{folder}/readme.db", pack="weiyang", log_level="WARNING")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}:00+08:00")


def explained() -> str:
    """One deadline over a holiday of nine days."""
    calendar = Calendar(read_pack("weiyang").calendars[0])
    start = to_ms(datetime.fromisoformat("2026-02-14T17:00:00+08:00"))
    return f"```\n{render(explain(calendar, start, parse_limit('4工作时')), 'zh').rstrip()}\n```"


def diagram(definition: Definition) -> str:
    """The states of a kind of case, and what moves between them."""
    return f"```mermaid\n{mermaid(definition).rstrip()}\n```"


def metrics() -> str:
    """Every metric that a process of ours may tell, with what it means; those of the client library are left out."""
    registries = Counters().registry, FoldCounters().registry, CollectorRegistry()
    intake_records(registries[-1])
    families = [family for registry in registries for family in registry.collect()]
    told = {f"{f.name}_total" if f.type == "counter" else f.name: (f.type, f.documentation) for f in families}
    told |= {g.name: ("gauge", g.help) for g in vars(d).values() if isinstance(g, d.Gauge)}
    ours = sorted((name, *said) for name, said in told.items() if name.startswith("gridpatrol_"))
    lines = [f"| `{name}` | {kind} | {text} |" for name, kind, text in ours]
    return "\n".join(["| metric | kind | what |", "|---|---|---|", *lines])


def blocks() -> dict[str, Callable[[], str]]:
    """Every block but the proof, which takes a replay of the whole city: see `gridpatrol demo city`."""
    return {
        "timeline": timeline,
        "month": month,
        "explained": explained,
        "metrics": metrics,
        "who_may": lambda: permissions.tables(Policy(read_pack("weiyang"), "")),
        **{kind.name: partial(diagram, kind) for kind in DEFINITIONS.values() if kind.listed != "never"},
    }


def pages() -> list[Path]:
    """Where blocks may stand."""
    return [README, *sorted(DOCS.glob("*.md"))]


def page_of(name: str) -> Path:
    """The one page that has a block."""
    having = [page for page in pages() if f"<!-- begin {name} -->" in page.read_text(encoding="utf-8")]
    if len(having) != 1:
        raise ValueError(f"one page has the block {name!r}, not {len(having)}")
    return having[0]


def block(text: str, name: str) -> str:
    """What stands between the markers of a block."""
    found = re.search(rf"<!-- begin {name} -->\n(.*?)<!-- end {name} -->", text, re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no block {name!r}")
    return found.group(1).strip()


def replaced(text: str, name: str, body: str) -> str:
    """A page with another block."""
    block(text, name)
    pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
    return re.sub(pattern, lambda m: f"{m.group(1)}{body}\n{m.group(2)}", text, flags=re.DOTALL)


def proof() -> str:
    """The line of proof: the whole city, replayed and judged."""
    with tempfile.TemporaryDirectory() as folder:
        return city.proof(city.run(_settings(folder)))


def main() -> None:
    """Write every block anew."""
    for name, make in (blocks() | {"proof": proof}).items():
        page = page_of(name)
        page.write_text(replaced(page.read_text(encoding="utf-8"), name, make()), encoding="utf-8")


if __name__ == "__main__":
    main()
