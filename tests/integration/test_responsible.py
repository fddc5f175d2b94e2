"""Who must act, and who has signed what, on each database: by the pack of the instant, at the door, for whoever reads.

In: the sample pack with bodies that answer, another one activated later, signatures. Out: answers, refusals, recounts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from consumers.performance import consume
from consumers.verify import verify
from engine.clock import now_ms
from engine.inbox import Submission
from engine.policies import Policies
from engine.runtime import Engine
from engine.views.questions import BadQuestion
from engine.views.responsible import Responsible, ResponsibleQuestion, responsible
from engine.views.signatures import ListLine, ListPage, SignatureQuestion, list_page
from gridpatrol.cli import main
from lab import runs
from schemas import facts
from schemas.instants import written
from schemas.kinds.responsibility import ResponsibilityChanged
from tests.support.builders import DAY, DUST, LEAF, METRO, SEWERS, STREET, Story, changed, event, subject, weiyang
from tests.support.serving import prepared, tell
from workflows.policy.index import Policy
from workflows.policy.model import NoticeRow, Pack, RoleRow
from workflows.policy.registers import Body, ResponsibilityRow
from workflows.responsibility import list_hash

BODIES = (
    Body("GOV", "区政府", "government", "WY", "District government", posts=("WY-CHIEF",)),
    Body("HAZE", "区治污减霾办", "government", "WY", department="WY-HAZE"),
    Body("STREET", "街道办事处", "government", "WY01", posts=(STREET,)),
)
ROWS = (
    ResponsibilityRow("LEAD", "HAZE", "划定网格", "lead", "Divide", basis="七(一)2"),
    ResponsibilityRow("HELP", "STREET", "配合划定", "assist", "Help", basis="七(一)2"),
    ResponsibilityRow("DUST", "GOV", "扬尘防治", "lead", "Dust", ("dust",), "ours"),
)
LEAF_CHIEF = "WY01-01-CHIEF"
SIGN = RoleRow("sign", "responsibility.signed", "chief")


def with_lists(rows: tuple[ResponsibilityRow, ...] = ROWS) -> Policy:
    """The sample pack with bodies that answer for something."""
    sign = (SIGN, replace(SIGN, role="handler"))
    return changed(bodies=BODIES, responsibilities=rows, roles=(*weiyang().pack.roles, *sign))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine whose pack has had no bodies until ten days ago."""
    with prepared(database_url) as opened:
        activate(opened, with_lists().pack, now_ms() - 10 * DAY)
        yield opened


def activate(engine: Engine, pack: Pack, at: int) -> None:
    """Let a pack become active at an instant."""
    engine.install(pack, at)
    engine.drain()


def ask(engine: Engine, grid: str = LEAF, category: str = "", at: int | None = None) -> Responsible:
    """Who must act."""
    question = ResponsibleQuestion(grid=grid, category=category, at="" if at is None else written(at))
    with engine.database.read() as connection:
        return responsible(connection, Policies(), question, now_ms())


def lists(engine: Engine, **asked: object) -> ListPage:
    """Lists, with who has signed them."""
    with engine.database.read() as connection:
        return list_page(connection, Policies(), SignatureQuestion(**asked), now_ms())  # type: ignore[arg-type]


def sign(engine: Engine, actor: str, body: str, hash_: str, number: int, home: str = "XA", at: int = 0) -> str:
    """Say that a post signs a list; what became of it."""
    at = at or now_ms()
    said = event("responsibility.signed", actor, at, case=subject(home, number), id=f"s{number}", body=body, list=hash_)
    return tell(engine, said, at)


@pytest.mark.parametrize("category", [DUST, METRO, SEWERS])
def test_the_owner_is_who_gets_a_report_of_it_from_there(engine: Engine, category: str) -> None:
    reported = Story().reported(category=category)
    found = ask(engine, category=category)
    assert found.owner is not None and found.owner.grid.code == reported.case.owner.grid
    assert found.owner.level == reported.case.owner.level
    assert found.chief[0].code == f"{reported.case.owner.grid}-CHIEF"
    assert {each.code for each in found.posts} >= {each.code for each in found.chief}


@pytest.mark.mechanism("M65")
def test_an_answer_names_duty_text_part_basis_posts_and_how_long_it_may_take(engine: Engine) -> None:
    found = ask(engine, category=DUST)
    assert [(each.duty, each.body.code, each.part_zh, each.duty_zh, each.basis) for each in found.duties] == [
        ("LEAD", "HAZE", "牵头", "划定网格", "七(一)2"),
        ("DUST", "GOV", "牵头", "扬尘防治", "ours"),
        ("HELP", "STREET", "配合", "配合划定", "七(一)2"),
    ]
    assert [each.code for each in found.duties[0].posts] == ["WY-HAZE-H"]
    assert found.department is not None and found.department.code == "WY-BUILD"
    assert [each.code for each in found.department_posts] == ["WY-BUILD-H"]
    limits = {each.clock: each for each in found.clocks}
    assert limits["handle"].limit == "4工作时" and limits["handle"].due_at is not None
    assert {"accept", "handle", "total"} <= limits.keys()
    assert [(pair.kind, [post.code for post in pair.posts]) for pair in found.pair] == [
        ("party", []),
        ("government", [STREET]),
    ]
    assert [each.duty for each in ask(engine, "XA").duties] == []


def test_at_a_past_instant_the_pack_of_that_instant_answers(engine: Engine) -> None:
    before, after = now_ms() - 11 * DAY, now_ms() - 9 * DAY
    assert not {"LEAD", "DUST"} & {each.duty for each in ask(engine, category=DUST, at=before).duties}
    assert len(ask(engine, category=DUST, at=after).duties) == 3
    assert ask(engine, at=before).reading == "as_known_then"
    assert ask(engine, at=before).pack != ask(engine).pack
    with pytest.raises(BadQuestion, match="still to come"):
        ask(engine, at=now_ms() + DAY)
    for grid, category in (("NONE", ""), (LEAF, "NONE")):
        with pytest.raises(BadQuestion):
            ask(engine, grid, category)


def signed_of(page: ListPage) -> dict[str, tuple[int, int]]:
    """How many have signed each list, of how many."""
    return {line.body.code: (line.signed, line.asked) for line in page.lists}


def one(engine: Engine, body: str) -> ListLine:
    """The list of a body."""
    [line] = lists(engine, body=body).lists
    return line


@pytest.mark.mechanism("M66")
def test_who_signs_a_list_has_signed_it_until_it_changes(engine: Engine) -> None:
    assert signed_of(lists(engine)) == {"GOV": (0, 1), "HAZE": (0, 1), "STREET": (0, 1)}
    first = one(engine, "GOV").hash
    assert first == list_hash(with_lists(), BODIES[0]) and one(engine, "GOV").subject == "XA."
    assert sign(engine, "WY-CHIEF", "GOV", "0" * 64, 1) == "refused"
    assert sign(engine, STREET, "GOV", first, 2) == "refused"
    assert sign(engine, "WY-CHIEF", "GOV", first, 3) == "done"
    assert sign(engine, STREET, "STREET", one(engine, "STREET").hash, 1, "WY01") == "done"
    assert signed_of(lists(engine)) == {"GOV": (1, 1), "HAZE": (0, 1), "STREET": (1, 1)}
    assert [line.body.code for line in lists(engine, unsigned=True).lists] == ["HAZE"]
    assert [line.body.code for line in lists(engine, post="WY-CHIEF").lists] == ["GOV"]
    assert [line.body.code for line in lists(engine, grid="WY01").lists] == ["STREET"]
    page = lists(engine, limit=2)
    assert [line.body.code for line in lists(engine, limit=2, cursor=page.next).lists] == ["STREET"]
    changed_row = replace(ROWS[2], duty_zh="扬尘污染防治")
    activate(engine, with_lists((*ROWS[:2], changed_row)).pack, now_ms())
    assert signed_of(lists(engine)) == {"GOV": (0, 1), "HAZE": (0, 1), "STREET": (1, 1)}, "a changed list asks again"
    assert sign(engine, "WY-CHIEF", "GOV", first, 4) == "refused"
    assert sign(engine, "WY-CHIEF", "GOV", one(engine, "GOV").hash, 5) == "done"
    assert signed_of(lists(engine))["GOV"] == (1, 1)
    assert verify(engine.database, live=True) == []


def test_whoever_takes_over_a_post_signs_anew(engine: Engine) -> None:
    assert sign(engine, "WY-CHIEF", "GOV", one(engine, "GOV").hash, 1, at=now_ms() - 5 * DAY) == "done"
    assert signed_of(lists(engine))["GOV"] == (1, 1)
    known = with_lists()
    day = known.clock_of_days.local_day(now_ms() - 2 * DAY)
    posts = tuple(replace(p, valid_from=day) if p.code == "WY-CHIEF" else p for p in known.pack.posts)
    activate(engine, replace(known.pack, posts=posts), now_ms() - 2 * DAY)
    assert signed_of(lists(engine))["GOV"] == (0, 1)
    assert sign(engine, "WY-CHIEF", "GOV", one(engine, "GOV").hash, 2) == "done"
    assert signed_of(lists(engine))["GOV"] == (1, 1)


def test_the_commands_say_it_in_both_languages(engine: Engine, database_url: str) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(main, [*words, "--database", database_url], prog_name="gridpatrol")
        assert result.exit_code == 0, result.output
        return result.output

    asked = ("responsible", "--grid", LEAF, "--category", DUST)
    zh, en = run(*asked), run(*asked, "--lang", "en")
    assert "牵头" in zh and "扬尘防治" in zh and "责任网格" in zh and "政府及其部门" in zh
    assert "leads" in en and "Dust" in en and "owner: " in en and "4 working hours" in en
    assert json.loads(run(*asked, "--json"))["owner"]["grid"]["code"] == "WY01"
    assert sign(engine, "WY-CHIEF", "GOV", one(engine, "GOV").hash, 1) == "done"
    told = run("responsibility", "list")
    assert "1/1" in told and "0/1" in told and "未签 not signed" in told
    rows = list(
        csv.DictReader(io.StringIO(run("responsibility", "list", "--unsigned", "--csv").removeprefix("\ufeff")))
    )
    assert [row["body_code"] for row in rows] == ["HAZE", "STREET"]


def asked_of(engine: Engine) -> dict[tuple[str, str], tuple[str, ...]]:
    """Which lists have asked anew, by body and hash, and whom that told. None does so twice."""
    found = dict[tuple[str, str], tuple[str, ...]]()
    for step in runs.steps(engine):
        told = {type(fact): fact for fact in facts.decode_facts(step.body)}
        if (change := told.get(ResponsibilityChanged)) is not None:
            assert isinstance(change, ResponsibilityChanged)
            given = told.get(facts.NoticeGiven)
            assert (change.body, change.list) not in found
            found[change.body, change.list] = given.to if isinstance(given, facts.NoticeGiven) else ()
    return found


@pytest.mark.mechanism("M66")
def test_a_list_that_changes_with_a_pack_tells_once_who_has_to_sign_it(engine: Engine) -> None:
    """Also in homes in which time bears nothing, and in more lists of one home than a firing may speak to."""
    first = changed(with_lists(), notices=(*weiyang().pack.notices, NoticeRow("asked", ("signers",), "responsibility")))

    def become(pack: Pack, days_ago: int) -> None:
        """It becomes active, and time goes on: homes come up."""
        activate(engine, pack, now_ms() - days_ago * DAY)
        engine.append([Submission(p, "tick", "owner", "") for p in engine.rows], now_ms() - days_ago * DAY + DAY // 2)
        engine.drain()

    become(first.pack, 9)
    before = asked_of(engine)
    assert {body for body, _ in before} == {"GOV", "HAZE", "STREET"}  # new with the pack of ten days ago
    many = tuple(
        Body(f"B{number:03}", f"{number}号机构（示例）", "public", "WY01", posts=(LEAF_CHIEF,)) for number in range(60)
    )
    rows = (
        replace(ROWS[0], duty_zh="划定网格和边界"),
        *ROWS[1:],
        *(ResponsibilityRow(f"D{each.code}", each.code, "自查", "lead", "Look", basis="ours") for each in many),
    )
    second = changed(first, bodies=(*BODIES, *many), responsibilities=rows)
    become(second.pack, 8)
    told = {body: posts for (body, hash_), posts in asked_of(engine).items() if (body, hash_) not in before}
    assert told.keys() == {each.code for each in many} | {ROWS[0].body}
    assert told.pop("HAZE") == ("WY-HAZE-H", "WY-CHIEF")  # who signs, and who signs for the government of its grid
    assert {*told.values()} == {(LEAF_CHIEF, STREET)}
    assert one(engine, "HAZE").signed == 0
    for back, pack in ((7, first.pack), (6, second.pack), (5, second.pack)):
        become(pack, back)
    assert len(asked_of(engine)) == len(before) + 61  # each hash asks once, whatever becomes active again
    while consume.consume(engine.database):
        pass
    assert verify(engine.database) == []
