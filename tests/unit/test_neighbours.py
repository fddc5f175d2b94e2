"""Neighbours of a pack (毗邻地区): each row is read, looked up, and told of when it cannot work."""

from __future__ import annotations

import pytest

from engine.views.names import Names
from tests.support.builders import changed, weiyang
from tests.unit.test_pack_lint import TEXTS
from workflows.policy.compile import compile_rows
from workflows.policy.lint import lint
from workflows.policy.registers import Neighbour

ANSWERS = "enter,part.answered,chief,1,owner,,,\n"


def told(row: str, roles: str = ANSWERS) -> list[str]:
    """The findings on the small pack with one neighbour."""
    texts = {
        **TEXTS,
        "neighbours.csv": f"code,name,grid,name_en,department,basis\n{row}\n",
        "roles.csv": TEXTS["roles.csv"] + roles,
    }
    compiled = compile_rows(texts)
    found = compiled.problems if compiled.pack is None else lint(compiled.pack, 0, compiled.rows)
    return [f"{each.severity} {each}" for each in found]


def test_a_neighbour_to_whom_a_grid_writes_is_as_it_should_be() -> None:
    assert told("NB-1,邻县,T,Next county,,ours") == []


@pytest.mark.parametrize(
    ("row", "begins", "remedy"),
    [
        ("T-CHIEF,邻县,T,,,ours", "error neighbours.csv:2 code: 'T-CHIEF' is the code of", "another code"),
        ("WASTE,邻县,T,,,ours", "error neighbours.csv:2 code: 'WASTE' is the code of", "outside the register"),
        ("NB-1,邻县,X,,,ours", "error neighbours.csv:2 grid: there is no grid 'X'", "use one of"),
        (
            "NB-1,邻县,N,,WASTE,ours",
            "error neighbours.csv:2 department: 'WASTE' is no department of N",
            "leave it empty",
        ),
        ("NB-1,邻县,T,,NONE,ours", "error neighbours.csv:2 department: 'NONE' is no department of T", "leave it empty"),
        ("NB-1,邻县,T,,,", "warning neighbours.csv:2 basis: does not say", "agreement"),
        ("NB-1,邻县,N,,,ours", "warning neighbours.csv:2 grid: no post of N may enter", "roles.csv"),
        ("NB-1,邻县,T,,WASTE,ours", "warning neighbours.csv:2 grid: no post of WASTE may enter", "roles.csv"),
    ],
)
def test_what_cannot_work_is_said_with_its_row_and_a_remedy(row: str, begins: str, remedy: str) -> None:
    (finding,) = told(row)
    assert finding.startswith(begins) and remedy in finding, finding


def test_a_code_stands_once_and_a_department_s_handler_may_answer() -> None:
    (twice,) = told("NB-1,邻县,T,,,ours\nNB-1,邻县,T,,,ours")
    assert twice.startswith("error neighbours.csv:3 code: 'NB-1' stands in row 2 already")
    assert told("NB-1,邻县,T,,WASTE,ours", "enter,part.answered,handler,,owner,,,\n") == []


def test_a_message_to_a_neighbour_calls_it_by_its_name() -> None:
    names = Names(changed(neighbours=(Neighbour("NB-9", "邻镇（示例）", "WY01"),)))
    assert names.post("NB-9").name == "邻镇（示例）"
    assert names.post("NB-0").name == "NB-0"


def test_the_sample_pack_has_neighbours_without_names_of_real_places() -> None:
    assert [each.code for each in weiyang().pack.neighbours] == ["NB-01", "NB-02"]
    assert all("示例" in each.name for each in weiyang().pack.neighbours)
