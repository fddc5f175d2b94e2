"""The demo's month, and the same month in which one street does one thing otherwise: its score does not rise.

Enters: the incidents of the demo's month, replayed, with the events of one street changed. Leaves: its line of the
yearly card, beside the one that it has when nothing is otherwise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from engine.packs import folder_of
from engine.policies import Policies
from engine.store.database import open_database
from engine.views.assessment import AssessmentPage, AssessmentQuestion, SubjectLine, assessment_page
from engine.views.figure_cases import FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.performance import performance_page
from gridpatrol.demo.month import write_month
from tests.support.builders import at, changed, shipped
from tests.support.recorded import gridpatrol
from workflows.policy.index import Policy

END = "2026-10-16T10:00:00+08:00"
NOW = at("2026-12-01 00:00")
STREET = "WY09"
"""In this month it is late more often than others."""
MINUTE = timedelta(minutes=1)
Said = dict[str, Any]
Change = Callable[[list[Said], set[str]], list[Said]]


class OnePack(Policies):
    """Whatever hash is asked for: this pack."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def get(self, connection: Any, digest: str) -> Policy:
        return self.policy


FEW = changed(shipped(), options={"min_n": 1}, duties=())


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample pack, in which nobody owes a round: thousands of duties would be replayed for each behaviour."""
    folder = Path(shutil.copytree(folder_of("weiyang"), tmp_path_factory.mktemp("packs") / "weiyang"))
    duties = folder / "duties.csv"
    duties.write_text(duties.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def month(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Said]:
    """What is said in the month, in the order in which it happens: what is added stands in its place."""
    file = tmp_path_factory.mktemp("month") / "month.jsonl"
    write_month(file, pack, datetime.fromisoformat(END), 311, rounds=False)
    return sorted((json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()), key=instant)


def instant(said: Said) -> datetime:
    """When something happens."""
    return datetime.fromisoformat(said["time"])


def replayed(events: list[Said], pack: Path, folder: Path) -> str:
    """The URL of a database that has taken these events."""
    file, url = folder / "said.jsonl", f"sqlite:///{folder / 'said.db'}"
    file.write_text("".join(f"{json.dumps(said, ensure_ascii=False)}\n" for said in events), encoding="utf-8")
    gridpatrol("replay", file, "--until", END, "--pack", pack, "--database", url, status=1)  # some are refused
    return url


@pytest.fixture(scope="module")
def usual(month: list[Said], pack: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The month as it is."""
    return replayed(month, pack, tmp_path_factory.mktemp("usual"))


def sheet(url: str, policy: Policy = FEW) -> AssessmentPage:
    """The sheet of the year so far."""
    question = AssessmentQuestion(card="YEAR", period="2026")
    with closing(open_database(url)) as database, database.read() as connection:
        return assessment_page(connection, OnePack(policy), question, NOW)


def first(page: AssessmentPage) -> SubjectLine:
    return next(line for line in page.scores if line.key == STREET)


@pytest.fixture(scope="module")
def late(usual: str) -> set[str]:
    """The problems that others found in the street and with which a deadline was missed."""
    found = set[str]()
    with closing(open_database(usual)) as database, database.read() as connection:
        for measure in ("overdue", "breach:accept", "breach:handle"):
            question = FigureCasesQuestion(measure=measure, grid=STREET, period="all", found="others", limit=500)
            found |= {line.id for line in figure_cases_page(connection, OnePack(FEW), question, NOW).cases}
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

    def change(month: list[Said], late: set[str]) -> Iterator[Said]:
        ended = set[str]()
        for said in month:
            if said["subject"] in ended:
                continue
            yield said
            if (
                said["subject"] in late
                and is_said(said, "incident.accepted")
                and said["actor"].startswith(f"{STREET}-")
            ):
                ended.add(said["subject"])
                yield after(said, 1, kind, f"{STREET}-CHIEF", reason=reason)

    return lambda month, late: list(change(month, late))


def trivial(month: list[Said], late: set[str]) -> list[Said]:
    """Every problem that its leaves find they find three times more, talk away, check and close themselves."""
    found = list[Said]()
    for said in month:
        found.append(said)
        member = said["actor"]
        if (
            said["subject"].startswith(f"{STREET}.")
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


def closing_early(month: list[Said], late: set[str]) -> list[Said]:
    """What its chief has accepted is called handled at once; the leaf finds it unsolved, and it is taken up again."""
    checkers = {s["subject"]: s["actor"] for s in month if is_said(s, "verification.recorded")}
    found, begun = list[Said](), set[str]()
    for said in month:
        found.append(said)
        subject, actor = said["subject"], said["actor"]
        ours = is_said(said, "incident.accepted") and actor.startswith(f"{STREET}-") and subject in checkers
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
    name: str, month: list[Said], usual: str, late: set[str], pack: Path, tmp_path: Path
) -> None:
    assert len(late) > 2
    url = replayed(sorted(BEHAVIOURS[name](month, late), key=instant), pack, tmp_path)
    before, other = first(sheet(usual)), first(sheet(url))
    assert not before.thin and not other.thin
    assert other.total - other.bonus <= before.total - before.bonus
    if name == "more trivial reports":
        assert own_reports(url) > 2 * own_reports(usual)
    else:
        assert other.total < before.total


def own_reports(url: str) -> int:
    """How many problems the street has found itself."""
    question = PerformanceQuestion(grid=STREET, period="all", found="own")
    with closing(open_database(url)) as database, database.read() as connection:
        return performance_page(connection, OnePack(FEW), question, NOW).rows[0].counts["reported"]


def test_a_street_that_loses_a_post_is_expected_to_do_what_it_was(usual: str) -> None:
    full = changed(FEW, duties=shipped().pack.duties)
    posts = full.pack.posts
    lost = changed(full, posts=tuple(post for post in posts if post.code != f"{STREET}-01-MEMBER"))
    vacant = changed(
        full, posts=tuple(structs.replace(p, vacant=True) if p.code == f"{STREET}-01-MEMBER" else p for p in posts)
    )
    line = first(sheet(usual, full))
    assert line.lines["coverage"].below > 1000
    assert first(sheet(usual, lost)) == first(sheet(usual, vacant)) == line
