"""What a pack says of supervision (督办): actions.csv, who decides each action, and the rows that select them.

In: the sample pack, and the small pack with an actions.csv of its own. Out: rows, hashes, findings.
"""

from __future__ import annotations

import pytest

from engine.packs import load_pack
from tests.support.builders import changed, shipped
from tests.unit.test_pack_lint import TEXTS, told
from workflows.clocks.limits import Limit, parse_limit
from workflows.policy.compile import compile_pack, compile_rows
from workflows.policy.lint import lint
from workflows.policy.model import MOST_FEN, ActionRow, LimitRow, NoticeRow, Pack, RungRow, encode

HEADER = "action,title_zh,title_en,public,answer,amount_fen,per,charged,basis\n"
LETTER = "letter,督办函,Letter,no,,,,,test\n"
TRIGGERS = ("proposed", "decided", "refused", "withdrawn", "served", "answered", "reviewed", "raised", "cleared")
RULES = "".join(f"s-{t},supervision.{t},supervisor,1,any,,,total\n" for t in ("proposed",))
RULES += "".join(f"s-{t},supervision.{t},supervisor,1,any,\n" for t in (*TRIGGERS[1:], "revoked"))


def texts(row: str = "", roles: str = RULES, **files: str) -> dict[str, str]:
    """The small pack with a letter and another action, and rules for all that is said of them."""
    edited = {name: f"{TEXTS[name]}{added}" for name, added in files.items()}
    return {**TEXTS, "roles.csv": TEXTS["roles.csv"] + roles, "actions.csv": HEADER + LETTER + row, **edited}


def found(row: str = "", roles: str = RULES, **files: str) -> list[str]:
    """The findings on it."""
    compiled = compile_rows(texts(row, roles, **files))
    more = lint(compiled.pack, 0, compiled.rows) if compiled.pack is not None else []
    return told([*compiled.problems, *more])


def compiled(row: str = "") -> Pack:
    """The pack with another action."""
    pack, problems = compile_pack(texts(row))
    assert pack is not None, problems
    return pack


def test_a_pack_with_an_action_has_nothing_to_find():
    assert found() == []


def test_a_row_is_read_as_it_is_written():
    pack = compiled("fine,扣款,Deduction,是,否,100000000,outlet,unit,规定\n")
    assert pack.actions == (
        ActionRow("letter", "督办函", "Letter", basis="test"),
        ActionRow(
            "fine",
            "扣款",
            "Deduction",
            public=True,
            answer=False,
            amount_fen=100_000_000,
            per="outlet",
            charged="unit",
            basis="规定",
        ),
    )


def test_a_pack_without_actions_keeps_its_bytes_and_is_asked_for_no_rules():
    pack, _ = compile_pack(TEXTS)
    assert pack is not None and b'"actions"' not in encode(pack)
    boston = encode(load_pack("boston311"))
    assert b'"actions"' not in boston and b'"categories":["' not in boston


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        ("letter,又一,,,,,,,test\n", "error actions.csv:3 code: 'letter' stands in row 2 already"),
        ("x y,甲,,,,,,,test\n", "error actions.csv:3 action: 'x y' is not a code"),
        ("x,,,,,,,,test\n", "error actions.csv:3 title_zh: is empty"),
        ("x,甲,,,,,,,\n", "warning actions.csv:3 basis: does not say where the action comes from"),
        ("x,甲,,,,1e6,case,unit,test\n", "error actions.csv:3 amount_fen: '1e6' is not an amount in fen"),
        ("x,甲,,,,-1,case,unit,test\n", "error actions.csv:3 amount_fen: '-1' is not an amount in fen"),
        ("x,甲,,,,100,,unit,test\n", "error actions.csv:3 per: 'x' says amount_fen, charged and not per"),
        ("x,甲,,,,,case,,test\n", "error actions.csv:3 amount_fen: 'x' says per and not amount_fen, charged"),
        ("x,甲,,,,100,case,mayor,test\n", "error actions.csv:3 charged: 'mayor' is unknown"),
        (f"x,甲,,,,{MOST_FEN // 10},case,unit,test\n", "error actions.csv:3 amount_fen: 'x' charges"),
        ("litter,甲,,,,,,,test\n", "error actions.csv:3 action: 'litter' is a category of categories.csv, too"),
    ],
)
def test_what_is_wrong_with_an_action_is_named(row: str, finding: str):
    [only] = found(row)
    assert only.startswith(finding)


def test_an_action_that_nobody_may_decide_is_named():
    only_letters = RULES.replace("s-decided,supervision.decided,supervisor,1,any,\n", "")
    rows = TEXTS["roles.csv"].splitlines()
    head = f"{rows[0]},categories"
    decided = "s-decided,supervision.decided,supervisor,1,any,,,,letter\n"
    files = texts("x,甲,,,,,,,test\n", only_letters)
    files["roles.csv"] = files["roles.csv"].replace(rows[0], head) + decided
    made = compile_rows(files)
    assert made.pack is not None
    [only] = told(lint(made.pack, 0, made.rows))
    assert only.startswith("warning actions.csv:3 action: 'x': nobody may decide it")
    files["roles.csv"] = files["roles.csv"].replace("letter", "leter")
    made = compile_rows(files)
    assert made.pack is not None
    errors = [line for line in told(lint(made.pack, 0, made.rows)) if line.startswith("error")]
    assert len(errors) == 1 and "'leter' is no category, and no action" in errors[0]


def test_a_limit_of_supervision_names_an_action():
    files = texts()
    head = TEXTS["limits.csv"].splitlines()[0]
    for code, finds in (("letter", 0), ("litter", 1)):
        files["limits.csv"] = TEXTS["limits.csv"].replace(head, f"{head},definition")
        files["limits.csv"] += f"response,,{code},,5 working days,,,test,supervision\n"
        made = compile_rows(files)
        assert made.pack is not None
        assert len(lint(made.pack, 0, made.rows)) == finds


# ---- the sample pack ------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M59", "M60", "M118", "M124", "M132", "M136")
def test_the_sample_pack_has_the_actions_of_the_texts_each_with_its_basis():
    actions = shipped().actions
    assert {"letter", "special", "unannounced", "listed", "watch", "interview", "circular", "exposure"} <= set(actions)
    assert {"delegates", "blacklist", "deduction", "commendation", "honours-veto", "veto"} <= set(actions)
    assert {"permit-ban", "accountability"} <= set(actions)
    assert all("M" in action.basis for action in actions.values())
    amounts = {code: (each.amount_fen, each.per, each.charged) for code, each in actions.items() if each.amount_fen}
    assert amounts == {
        "deduction": (1_000_000 * 100, "outlet", "unit"),  # 每个排污口扣款100万元
        "deduction-discharge": (10_000_000 * 100, "case", "government"),  # 一例一次1000万元
    }


RUNGS, NOTICES = TEXTS["rungs.csv"].splitlines()[0], TEXTS["notices.csv"].splitlines()[0]


@pytest.mark.parametrize(
    ("rung", "finding"),
    [
        ("response,due,at,,,,holder,,supervision,letter", ""),
        ("response,due,at,,,,holder,,,letter", ""),
        ("accept,more,at,,,,holder,,,litter", ""),
        ("response,due,at,,,,holder,,supervision,litter", "category: 'litter' is no action"),
        ("accept,more,at,,,,holder,,incident,letter", "category: 'letter' is no category"),
        ("accept,more,at,,,,holder,,,leter", "category: 'leter' is no category, and no action"),
        ("accept,more,at,,,,holder,bear:letter,,", ""),
        ("accept,more,at,,,,holder,shout,,", "act: 'shout' is unknown"),
        ("accept,more,at,,,,holder,bear:leter,,", "act: 'leter' is no action"),
        ("accept,more,at,,,,holder,bear:,,", "act: '' is no action"),
        ("response,due,at,,,,holder,bear:letter,supervision,", "act: nothing is called for about a supervision"),
        ("accept,more,before,1 working hour,,,holder,bear:letter,,", "act: nothing is called for before a deadline"),
    ],
)
def test_a_rung_names_an_action_that_selects_it_or_that_it_calls_for(rung: str, finding: str):
    files = texts()
    files["rungs.csv"] = TEXTS["rungs.csv"].replace(RUNGS, f"{RUNGS},definition,category") + f"{rung}\n"
    made = compile_rows(files)
    problems = told([*made.problems, *(lint(made.pack, 0, made.rows) if made.pack is not None else [])])
    named = [line for line in problems if "is told of" not in line]
    assert [line.partition(": ")[2] and finding in line for line in named] == ([True] if finding else []), named


def test_a_rung_that_calls_for_what_nobody_decides_is_named():
    files = texts(roles=RULES.replace("s-decided,supervision.decided,supervisor,1,any,\n", ""))
    row = "accept,more,at,,,,holder,bear:letter,,\n"
    files["rungs.csv"] = TEXTS["rungs.csv"].replace(RUNGS, f"{RUNGS},definition,category") + row
    made = compile_rows(files)
    assert made.pack is not None
    errors = [line for line in told(lint(made.pack, 0, made.rows)) if line.startswith("error")]
    assert len(errors) == 1 and "act: 'letter': nobody may decide it" in errors[0]


@pytest.mark.parametrize(("category", "finds"), [("letter", 0), ("litter", 1), ("", 0)])
def test_a_notice_names_an_action(category: str, finds: int):
    files = texts()
    files["notices.csv"] = TEXTS["notices.csv"].replace(NOTICES, f"{NOTICES},definition,category")
    files["notices.csv"] += f"assigned,holder,supervision,{category}\nassigned,,supervision,{category}\n"
    made = compile_rows(files)
    assert made.pack is not None
    errors = [line for line in told(lint(made.pack, 0, made.rows)) if line.startswith("error")]
    assert len(errors) == 2 * finds + 1 and "assigned stands in row" in errors[0]


def test_a_bank_is_told_of_what_is_public_alone_and_a_pack_with_one_says_so():
    files = texts()
    files["posts.csv"] = TEXTS["posts.csv"] + "B,Bank,bank,T\n"
    made = compile_rows(files)
    assert made.pack is not None, made.problems
    silent = "supervision: nobody is told of published"
    assert [line for line in told(lint(made.pack, 0, made.rows)) if "published" in line and silent in line]
    files["notices.csv"] += "published,bank\nassigned,holder;bank\n"
    made = compile_rows(files)
    assert made.pack is not None
    found = told(lint(made.pack, 0, made.rows))
    assert not [line for line in found if silent in line]
    [refused] = [line for line in found if line.startswith("error") and "bank" in line]
    assert "tell: a bank is told of acts that are told in public alone" in refused


def test_rows_for_an_action_go_before_those_for_all_and_a_kind_before_them():
    rungs = (
        RungRow("response", "due", "at", tell=("holder",)),
        RungRow("response", "due", "at", tell=("office",), category="letter"),
        RungRow("review", "due", "at", tell=("office",), category="letter"),
        RungRow("response", "due", "at", tell=("supervisor",), definition="supervision"),
        RungRow("*", "due", "at", tell=("sponsor",), definition="supervision", category="listed"),
    )
    notices = (
        NoticeRow("assigned", ("holder",)),
        NoticeRow("assigned", ("office",), category="letter"),
        NoticeRow("urged", ("holder",), "supervision"),
        NoticeRow("urged", ("sponsor",), "supervision", "listed"),
        NoticeRow("urged", (), category="letter"),
    )
    policy = changed(rungs=rungs, notices=notices)

    def tells(clock: str, *of: str) -> tuple[str, ...]:
        ((row, _),) = policy.ladder(clock, *of)
        return row.tell

    assert tells("response", "incident", "D3-01") == ("holder",)
    assert tells("response", "incident", "letter") == ("office",)
    assert tells("response", "supervision", "letter") == ("supervisor",)
    assert tells("review", "supervision", "letter") == ("office",)
    assert tells("response", "supervision", "listed") == ("sponsor",)
    assert tells("review", "supervision", "circular") == ()
    told_of = {
        of: policy.notices(*of).words for of in (("supervision", "letter"), ("supervision", "listed"), ("duty",))
    }
    assert told_of == {
        ("supervision", "letter"): {"assigned": ("office",), "urged": ("holder",)},
        ("supervision", "listed"): {"assigned": ("holder",), "urged": ("sponsor",)},
        ("duty",): {"assigned": ("holder",)},
    }


@pytest.mark.parametrize(
    ("lists", "limit", "finding"),
    [
        ("yes", "accept,,,,1 working hour,,,test,,yes", ""),
        ("yes", "accept,,,,1 working hour,,,test,incident,yes", ""),
        (
            "no",
            "accept,,,,1 working hour,,,test,,yes",
            "error limits.csv:14 listed: no action of actions.csv lists a grid",
        ),
        ("yes", "response,,,,5 days,,,test,supervision,yes", "error limits.csv:14 limit: '5 days' is not a limit"),
        (
            "yes",
            "response,,,,5 working days,,,test,supervision,yes",
            "error limits.csv:14 listed: of supervision nobody asks",
        ),
        ("maybe", "", "error actions.csv:3 lists: 'maybe' is neither yes nor no"),
    ],
)
def test_a_limit_for_listed_grids_stands_where_an_action_lists_some(lists: str, limit: str, finding: str):
    head = TEXTS["limits.csv"].splitlines()[0]
    files = texts()
    files["actions.csv"] = HEADER.replace("basis", "basis,lists") + LETTER + f"watch,重点,,,,,,,test,{lists}\n"
    files["limits.csv"] = TEXTS["limits.csv"].replace(head, f"{head},definition,listed") + f"{limit}\n" * bool(limit)
    made = compile_rows(files)
    problems = told([*made.problems, *(lint(made.pack, 0, made.rows) if made.pack is not None else [])])
    assert [line[: len(finding)] for line in problems] == [finding] * bool(finding), problems


def test_a_row_for_listed_grids_goes_before_all_others_of_its_kind():
    short, shorter = parse_limit("2工作时"), parse_limit("1工作时")
    rows = (
        LimitRow("accept", parse_limit("4工作时"), category="D3-01"),
        LimitRow("accept", short, listed=True),
        LimitRow("accept", shorter, definition="service_request"),
    )
    policy = changed(limits=rows)

    def limit(kind: str, listed: bool) -> Limit:
        row = policy.limit("accept", 3, "D3-01", "dust", 20260302, kind, listed)
        assert row is not None
        return row.limit

    assert limit("incident", True) == short and limit("incident", False) == parse_limit("4工作时")
    assert limit("service_request", True) == limit("service_request", False) == shorter
    assert policy.asks_listed and not changed().asks_listed
