"""The demo's month and its year, and the same in which one street does one thing otherwise: its score does not rise.

Enters: what is said in the demo's month, and in its year, replayed, with the events of one street changed. Leaves: its
line of the yearly card, beside the one that it has when nothing is otherwise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from engine.packs import folder_of, load_pack
from engine.policies import Policies
from engine.store.database import open_database
from engine.views.assessment import AssessmentQuestion, SubjectLine, assessment_page
from engine.views.figure_cases import FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.performance import performance_page
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.month import write_month
from gridpatrol.demo.year import Year, write_pack
from tests.support.builders import at, changed, shipped
from tests.support.recorded import gridpatrol
from workflows.policy.index import Policy

END = "2026-10-16T10:00:00+08:00"
MINUTE = timedelta(minutes=1)
Said = dict[str, Any]


class History(NamedTuple):
    """What is said, in the order in which it happens, up to an instant, under a pack in a folder; `street` is one that
    is late more often than others. It is assessed for a period at another instant."""

    said: list[Said]
    until: str
    pack: Path
    policy: Policy
    street: str
    period: str
    now: int


Change = Callable[[History, set[str]], list[Said]]


class OnePack(Policies):
    """Whatever hash is asked for: this pack."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def get(self, connection: Any, digest: str) -> Policy:
        return self.policy


FEW = changed(shipped(), options={"min_n": 1}, duties=())


def the_month(folder: Path) -> History:
    """The demo's month by the sample pack, in which nobody owes a round: thousands of duties would be replayed for each
    behaviour."""
    pack = Path(shutil.copytree(folder_of("weiyang"), folder / "weiyang"))
    duties = pack / "duties.csv"
    duties.write_text(duties.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    file = folder / "month.jsonl"
    write_month(file, pack, datetime.fromisoformat(END), 311, rounds=False)
    said = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return History(sorted(said, key=instant), END, pack, FEW, "WY09", "2026", at("2026-12-01 00:00"))


def the_year(folder: Path) -> History:
    """What people say in the demo's year, without what offices answer."""
    pack = write_pack(folder_of("weiyang"), folder / "year", 2025, rounds=False)
    said = list(Year(Locality(pack), 2025, 311).events(120, rounds=False))
    policy = changed(Policy(load_pack(str(pack)), ""), options={"min_n": 1})
    now = at("2026-03-01 00:00")
    return History(sorted(said, key=instant), "2026-02-01T00:00:00+08:00", pack, policy, "WY03", "2025", now)


@pytest.fixture(scope="module", params=[the_month, the_year], ids=lambda each: each.__name__)
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> History:
    """What is said when nothing is otherwise."""
    made: History = request.param(tmp_path_factory.mktemp("history"))
    return made


def instant(said: Said) -> datetime:
    """When something happens."""
    return datetime.fromisoformat(said["time"])


def replayed(events: list[Said], history: History, folder: Path) -> str:
    """The URL of a database that has taken these events."""
    file, url = folder / "said.jsonl", f"sqlite:///{folder / 'said.db'}"
    file.write_text("".join(f"{json.dumps(said, ensure_ascii=False)}\n" for said in events), encoding="utf-8")
    gridpatrol(
        "replay", file, "--until", history.until, "--pack", history.pack, "--database", url, status=1
    )  # some are refused
    return url


@pytest.fixture(scope="module")
def usual(history: History, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The month or the year as it is."""
    return replayed(history.said, history, tmp_path_factory.mktemp("usual"))


def line_of(url: str, history: History, policy: Policy | None = None) -> SubjectLine:
    """The street's line of the sheet of the year so far."""
    question = AssessmentQuestion(card="YEAR", period=history.period)
    with closing(open_database(url)) as database, database.read() as connection:
        page = assessment_page(connection, OnePack(policy or history.policy), question, history.now)
    return next(line for line in page.scores if line.key == history.street)


@pytest.fixture(scope="module")
def late(usual: str, history: History) -> set[str]:
    """The problems that others found in the street and with which a deadline was missed."""
    found = set[str]()
    with closing(open_database(usual)) as database, database.read() as connection:
        for measure in ("overdue", "breach:accept", "breach:handle"):
            asked = {"grid": history.street, "period": "all", "found": "others"}
            question = FigureCasesQuestion(measure=measure, limit=500, **asked)
            page = figure_cases_page(connection, OnePack(history.policy), question, history.now)
            found |= {line.id for line in page.cases}
    return found


# ---- what it does otherwise ---------------------------------------------------------------------------------


def after(said: Said, k: int, kind: str, actor: str, **data: Any) -> Said:
    """Something that is said k minutes after something else."""
    time = (datetime.fromisoformat(said["time"]) + k * MINUTE).isoformat()
    of_type = f"gridpatrol.{kind}.v1"
    return said | {"id": f"{said['id']}-{k}", "type": of_type, "time": time, "actor": actor, "data": data}


def is_said(said: Said, kind: str) -> bool:
    return bool(said["type"] == f"gridpatrol.{kind}.v1")


def instead(kind: str, reason: str) -> Change:
    """What it has accepted, and would be late with, ends there for it."""

    def change(history: History, late: set[str]) -> Iterator[Said]:
        ended = set[str]()
        for said in history.said:
            if said["subject"] in ended:
                continue
            yield said
            if (
                said["subject"] in late
                and is_said(said, "incident.accepted")
                and said["actor"].startswith(f"{history.street}-")
            ):
                ended.add(said["subject"])
                yield after(said, 1, kind, f"{history.street}-CHIEF", reason=reason)

    return lambda history, late: list(change(history, late))


def trivial(history: History, late: set[str]) -> list[Said]:
    """Every problem that its leaves find they find three times more, talk away, check and close themselves."""
    found = list[Said]()
    for said in history.said:
        found.append(said)
        member = said["actor"]
        if (
            said["subject"].startswith(f"{history.street}.")
            and is_said(said, "report.submitted")
            and member.endswith("-MEMBER")
        ):
            if member.count("-") != 2:
                continue  # a member of the street, and not of a leaf
            for copy in "abc":
                subject = f"{said['subject'][:-1]}{copy}"
                if subject == said["subject"]:
                    continue
                here = said | {"subject": subject, "id": f"{said['id']}-{copy}"}
                found += [
                    here,
                    after(here, 1, "dissuasion.recorded", member, outcome="effective"),
                    after(here, 2, "verification.recorded", member, outcome="solved"),
                    after(here, 3, "incident.closed", member),
                ]
    return found


def closing_early(history: History, late: set[str]) -> list[Said]:
    """What its chief has accepted is called handled at once; the leaf finds it unsolved, and it is taken up again."""
    checkers = {s["subject"]: s["actor"] for s in history.said if is_said(s, "verification.recorded")}
    found, begun = list[Said](), set[str]()
    for said in history.said:
        found.append(said)
        subject, actor = said["subject"], said["actor"]
        ours = is_said(said, "incident.accepted") and actor.startswith(f"{history.street}-") and subject in checkers
        if ours and subject not in begun:
            begun.add(subject)
            found += [
                after(said, 1, "handling.completed", actor),
                after(said, 2, "verification.recorded", checkers[subject], outcome="unsolved"),
                after(said, 3, "incident.accepted", actor),
            ]
    return found


BEHAVIOURS: dict[str, Change] = {
    "more trivial reports": trivial,
    "passing on": instead("incident.escalated", "coordination"),
    "rejecting": instead("incident.rejected", "not_found"),
    "closing early": closing_early,
}


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_a_street_that_does_one_thing_otherwise_does_not_rise(
    name: str, history: History, usual: str, late: set[str], tmp_path: Path
) -> None:
    assert len(late) >= 2
    url = replayed(sorted(BEHAVIOURS[name](history, late), key=instant), history, tmp_path)
    before, other = line_of(usual, history), line_of(url, history)
    assert not before.thin and not other.thin
    assert other.total - other.bonus <= before.total - before.bonus
    if name == "more trivial reports":
        assert own_reports(url, history) > 2 * own_reports(usual, history)
    else:
        assert other.total < before.total


def own_reports(url: str, history: History) -> int:
    """How many problems the street has found itself."""
    question = PerformanceQuestion(grid=history.street, period="all", found="own")
    with closing(open_database(url)) as database, database.read() as connection:
        page = performance_page(connection, OnePack(history.policy), question, history.now)
    return page.rows[0].counts["reported"]


def test_a_street_that_loses_a_post_is_expected_to_do_what_it_was(usual: str, history: History) -> None:
    full = changed(history.policy, duties=shipped().pack.duties)
    posts, code = full.pack.posts, f"{history.street}-01-MEMBER"
    lost = changed(full, posts=tuple(post for post in posts if post.code != code))
    vacant = changed(full, posts=tuple(structs.replace(p, vacant=True) if p.code == code else p for p in posts))
    line = line_of(usual, history, full)
    assert line.lines["coverage"].below > 1000
    assert line_of(usual, history, lost) == line_of(usual, history, vacant) == line
