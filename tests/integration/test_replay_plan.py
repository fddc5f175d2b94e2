"""A history is replayed with its packs at their own instants: the facts are those of a live run with these activations.

Enters: a storm of events, plans of packs. Leaves: facts, answers, what the command says.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from engine import admission
from engine.errors import LogMismatch
from engine.failpoints import Interrupted, arm
from engine.inbox import Submission
from engine.pack_plan import PlannedPack
from engine.packs import folder_of
from engine.replay import Replayed, check_plan, export_log, replay_events, replay_log
from engine.runtime import Engine
from gridpatrol.run.event_file import replay_events as replay_file
from lab import runs
from lab.runs import engine_on, install, storm
from lab.storm import BURST
from schemas import facts
from schemas.envelope import decode_envelope, to_ms
from schemas.refusals import Refusal
from tests.integration.test_replay_command import run
from tests.simulation.line import NOW, sample
from tests.support.builders import DAY, HOUR, event, instant, shipped, subject
from workflows.policy import model
from workflows.policy.model import Pack

LINES = storm(3, 9)
END = BURST + 6 * DAY


def packs() -> list[Pack]:
    """Three packs of one place: the sample; one in which a week is off, other limits hold and every deadline moves; one
    in which posts owe something each day, and nothing moves."""
    changed = sample(days_off=range(20260316, 20260321), deadlines_move="always")
    limits = tuple(msgspec.structs.replace(row, valid_to=0) for row in changed.limits if row.clock != "accept")
    owing = [row for row in shipped().pack.duties if row.period == "day"][:1]
    owed = msgspec.structs.replace(owing[0], levels=(2,), role="chief")
    return [
        sample(),
        msgspec.structs.replace(changed, limits=limits),
        msgspec.structs.replace(sample(), duties=(owed,)),
    ]


def plan_of(*rows: tuple[int, Pack]) -> list[PlannedPack]:
    return [PlannedPack(at, model.digest(pack), pack, n) for n, (at, pack) in enumerate(rows, 2)]


PLAN = plan_of((BURST - DAY, packs()[1]), (BURST + HOUR, packs()[2]), (BURST + 4 * DAY, packs()[0]))


def arrivals(lines: Iterable[bytes]) -> list[int]:
    """When the lines of a file arrive."""
    found = list[int]()
    for line in lines:
        said = decode_envelope(line)
        assert not isinstance(said, Refusal)
        found.append(max(to_ms(said.recordedtime or said.time), found[-1] if found else 0))
    return found


def keep_up(engine: Engine, before: int, *, at_most: int) -> None:
    """Tick as an owner does who looks every millisecond, while something is due before an instant."""
    while late := {p: due for p, due in engine.partitions.next_due.items() if due is not None and due < before}:
        stamps = {p: max(due + 1, engine.rows[p].clock) for p, due in late.items()}
        soon = {p: stamp for p, stamp in stamps.items() if stamp <= at_most}
        if not soon:
            return
        for p, stamp in soon.items():
            engine.append([Submission(p, "tick", "owner", "")], stamp)
        engine.drain()


def live(engine: Engine, lines: Sequence[bytes], plan: Sequence[PlannedPack], end: int) -> None:
    """A machine on which events arrive, packs are activated and the owner ticks, each at its instant by the machine's
    clock."""
    left = list(plan)
    for at, line in zip(arrivals(lines), lines, strict=True):
        while left and left[0].at <= at:
            activate(engine, left.pop(0))
        keep_up(engine, at, at_most=at - 1)
        received = admission.receive(line, "door", engine.count)
        assert not isinstance(received, Refusal)
        engine.append([received[0]], at)
        engine.drain()
    for planned in left:
        activate(engine, planned)
    keep_up(engine, end, at_most=end)


def activate(engine: Engine, planned: PlannedPack) -> None:
    keep_up(engine, planned.at, at_most=planned.at - 1)
    engine.install(planned.pack, planned.at)
    engine.drain()


def replay(engine: Engine, plan: Sequence[PlannedPack] = PLAN, until: int | None = END) -> Replayed:
    return replay_file(engine, LINES, "city", until, lambda done: None, plan, arrivals(LINES)[0])


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The facts of the live run."""
    with engine_on(f"sqlite:///{tmp_path_factory.mktemp('live') / 'live.db'}", 4) as engine:
        install(engine, packs()[0])
        live(engine, LINES, PLAN, END)
        return runs.facts(engine)


def test_a_history_with_packs_at_their_instants_has_the_facts_of_a_live_run(
    lived: dict[str, list[bytes]], sqlite_url: str, tmp_path: Path
) -> None:
    told = [fact for rows in lived.values() for row in rows for fact in facts.decode_facts(body_of(row))]
    assert {facts.ClockRecalculated, facts.ClockRung} <= {type(fact) for fact in told}
    assert any("duty" in str(msgspec.json.decode(rows[0])["definition"]) for rows in lived.values())
    for partitions, records in ((4, 500), (1, 1), (32, 7)):
        with engine_on(f"sqlite:///{tmp_path / f'{partitions}.db'}", partitions, records) as engine:
            install(engine, packs()[0])
            assert replay(engine).packs == 3
            assert runs.facts(engine) == lived
            runs.check_whole(engine)
            log = [*export_log(engine)]
    with engine_on(sqlite_url, 32) as again:
        replay_log(again, log)
        assert runs.facts(again) == lived


def body_of(row: bytes) -> str:
    return str(msgspec.json.decode(row)["body"])


def test_a_plan_that_was_followed_is_not_followed_twice(lived: dict[str, list[bytes]], database_url: str) -> None:
    with engine_on(database_url, 2) as engine:
        install(engine, packs()[0])
        replay(engine)
        assert runs.facts(engine) == lived
        before, known = runs.steps(engine), engine.activations(0)
        again = replay(engine)
        assert (again.packs, again.outcomes) == (0, {})
        assert (runs.steps(engine), engine.activations(0)) == (before, known)
        with engine.database.read() as connection:
            sql = "SELECT count(*) FROM audit WHERE act = 'pack.activated'"
            assert connection.exec_driver_sql(sql).scalar_one() == 3


@pytest.mark.parametrize("failpoint", ["replay.before_commit", "replay.after_commit"])
def test_a_replay_that_was_interrupted_between_two_packs_goes_on(
    lived: dict[str, list[bytes]], sqlite_url: str, failpoint: str
) -> None:
    with engine_on(sqlite_url, 4, 5) as engine:
        install(engine, packs()[0])
        for hit in (2, 9, 4):
            arm(f"{failpoint}:raise@{hit}")
            try:
                with pytest.raises(Interrupted):
                    replay(engine)
            finally:
                arm("")
            engine.reload()
        replay(engine)
        assert runs.facts(engine) == lived


def test_a_plan_that_begins_before_the_events_has_the_first_pack_of_all(sqlite_url: str, tmp_path: Path) -> None:
    plan = plan_of((arrivals(LINES)[0] - 10 * DAY, packs()[2]), *((each.at, each.pack) for each in PLAN))
    with engine_on(f"sqlite:///{tmp_path / 'live.db'}", 2) as machine, engine_on(sqlite_url, 2) as engine:
        live(machine, LINES, plan, END)
        replay(engine, plan)
        assert [at for _, at in engine.activations(0)] == [each.at for each in plan]
        assert runs.facts(engine) == runs.facts(machine)


def test_a_replay_goes_on_with_its_own_plan_only(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        install(engine, packs()[0])
        replay(engine, PLAN[:2], BURST + 2 * DAY)
        others = plan_of((PLAN[0].at, packs()[2]), (PLAN[1].at, packs()[1]))
        for plan, why in (((), "begun with a plan"), (others, "other packs"), (PLAN[:1], "other packs")):
            with pytest.raises(LogMismatch, match=why):
                check_plan(engine, "city", plan)
        early = [*PLAN[:2], *plan_of((BURST + DAY, packs()[0]))]
        with pytest.raises(LogMismatch, match="stands at"):
            check_plan(engine, "city", early)
        assert replay(engine).packs == 1


def test_events_alone_are_replayed_as_before(sqlite_url: str, tmp_path: Path) -> None:
    with engine_on(sqlite_url, 2) as engine, engine_on(f"sqlite:///{tmp_path / 'b.db'}", 2) as other:
        for each in (engine, other):
            install(each, packs()[0])
        replay(engine, ())
        replay_events(other, LINES, "city", END)
        assert runs.facts(engine) == runs.facts(other)


# ---- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A history of an event, two packs beside each other, one of them with less time, and one that is none."""
    said = [event("comment.added", "WY01-01-MEMBER", NOW, id="a")]
    data = {"category": "D3-04", "source": "hotline", "grid": "WY01-01", "definition": "service_request"}
    said += [event("report.submitted", "WY-12345", NOW + HOUR, case=subject("WY01", 2), id="b", **data)]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    for name in ("old", "new"):
        shutil.copytree(folder_of("weiyang"), tmp_path / name)
        (tmp_path / name / "duties.csv").unlink()
    limits = tmp_path / "new" / "limits.csv"
    limits.write_text(limits.read_text(encoding="utf-8").replace("accept,3,,,1", "accept,3,,,2"), encoding="utf-8")
    (tmp_path / "none").mkdir()
    return tmp_path


def replay_with(folder: Path, plan: str, *more: str, status: int) -> str:
    """What the command says of a plan; where it is refused, no database may be made."""
    (folder / "plan.csv").write_text(plan, encoding="utf-8")
    url = f"sqlite:///{folder / 'run.db'}"
    words = ("replay", folder / "events.jsonl", "--packs", folder / "plan.csv", "--database", url, *more)
    result = run(*words, status=status, partitions="2")
    assert status == 0 or not (folder / "run.db").exists(), "something was written"
    return result.stdout if status == 0 else result.stderr


def test_a_plan_names_folders_from_its_own_place_and_instants_in_the_zone_of_the_pack(folder: Path) -> None:
    plan = f"folder,instant\nold,2026-03-02 08:00\nnew,{instant(NOW + 1000)}\n"
    said = replay_with(folder, plan, status=0)
    assert "2 packs of the plan were activated" in said
    listed = json.loads(run("pack", "list", "--json", "--database", f"sqlite:///{folder / 'run.db'}", status=0).stdout)
    assert [item["activated_at"] for item in listed] == [["2026-03-02T08:00:00+08:00"], ["2026-03-02T09:00:01+08:00"]]


@pytest.mark.parametrize(
    ("rows", "place", "remedy"),
    [
        ("2026-03-01,old\n2026-02-28,new", "plan.csv:3 instant: lies before", "order of their instants"),
        ("2026-03-01,old\n2026-03-01T00:00+08:00,new", "plan.csv:3 instant: is that of row 2", "keep one"),
        ("2026-03-01,old\n2026-03-02,none", "plan.csv:3 folder: its pack cannot be used", "pack check"),
        ("2026-03-01,nowhere", "plan.csv:2 folder: its pack cannot be used", "pack check"),
        ("yesterday,old", "plan.csv:2 instant: 'yesterday' is no instant", "2015-06-01T08:00"),
        ("1969-01-01,old", "plan.csv:2 instant: '1969-01-01' is no instant", "2015-06-01T08:00"),
        (",old", "plan.csv:2 instant: is empty", "fill in"),
        ("2026-03-02 10:01,old", "plan.csv:2 instant: 2026-03-02T02:01:00.000Z lies after the file's last", "--until"),
        ("", "plan.csv: has no row", "name an instant"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused_with_its_place_before_anything_is_written(
    folder: Path, rows: str, place: str, remedy: str
) -> None:
    said = replay_with(folder, f"instant,folder\n{rows}\n", status=2)
    assert place in said and remedy.lower() in said.lower()


def test_a_plan_without_its_columns_or_after_the_declared_end_is_refused(folder: Path) -> None:
    assert "plan.csv:1 folder: this column is missing" in replay_with(
        folder, "instant,pack\n2026-03-01,old\n", status=2
    )
    late = replay_with(folder, "instant,folder\n2026-03-05,old\n", "--until", "2026-03-04T00:00Z", status=2)
    assert "lies after --until, 2026-03-04T00:00:00.000Z" in late
    assert replay_with(folder, "instant,folder\n2026-03-05,old\n", "--until", "2026-03-06T00:00Z", status=0)
