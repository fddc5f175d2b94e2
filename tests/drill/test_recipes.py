"""Each recipe of CONTRIBUTING.md is carried out on a copy of the tree, and its commands succeed there."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.recipes import Hunk, Recipe, apply, recipes
from tests.support.source_files import ROOT
from tests.support.tree import copy_tree

RECIPES = recipes((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
WANTED = {
    "A kind of case",
    "A trigger",
    "A clock",
    "A rung",
    "A pack column",
    "A fact",
    "A metric",
    "A table or a column",
}


def carry_out(recipe: Recipe, tree: Path) -> subprocess.CompletedProcess[str]:
    """Make the edits, then give the commands; `python` and `gridpatrol` are those of the copy."""
    for hunk in recipe.hunks:
        apply(hunk, tree)
    commands = tree / "var" / "bin"
    commands.mkdir(parents=True)
    for name, words in (("python", ""), ("gridpatrol", "-m gridpatrol ")):
        (commands / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}"$@"\n')
        (commands / name).chmod(0o755)
    # The tests that it runs are a run of their own, with servers of their own.
    others = ("GRIDPATROL_", "PYTEST_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    ours |= {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(tree)}
    shell = ["bash", "-euo", "pipefail", "-c", recipe.commands]
    return subprocess.run(shell, cwd=tree, env=ours, capture_output=True, text=True, timeout=300)


def test_there_is_a_recipe_for_each_of_these() -> None:
    assert {recipe.title for recipe in RECIPES} == WANTED
    assert all(recipe.commands for recipe in RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_a_recipe_works_as_it_is_written(recipe: Recipe, tmp_path: Path) -> None:
    done = carry_out(recipe, copy_tree(tmp_path / "tree", compiled=True))
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


# ---- the reader of recipes ------------------------------------------------------------------------------------

TEXT = """### A thing
Say so:
```diff
--- a.txt
 one
+more
@@ further down
-two
+2
--- b.txt
+new
```
```sh
true
```
### Something without a recipe
"""


def test_a_recipe_is_read_and_carried_out(tmp_path: Path) -> None:
    (recipe,) = recipes(TEXT)
    assert recipe == Recipe(
        "A thing",
        [Hunk("a.txt", "one\n", "one\nmore\n"), Hunk("a.txt", "two\n", "2\n"), Hunk("b.txt", "", "new\n")],
        "true\n",
    )
    (tmp_path / "a.txt").write_text("zero\none\nand two\ntwo\n")
    for hunk in recipe.hunks:
        apply(hunk, tmp_path)
    assert (tmp_path / "a.txt").read_text() == "zero\none\nmore\nand two\n2\n"
    assert (tmp_path / "b.txt").read_text() == "new\n"


@pytest.mark.parametrize("text", ["three\n", "one\none\n", ""])
def test_lines_that_do_not_stand_there_once_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match="not once"):
        apply(Hunk("a.txt", "one\n", "1\n"), tmp_path)


def test_a_file_that_exists_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("kept")
    with pytest.raises(ValueError, match="after which line"):
        apply(Hunk("a.txt", "", "new\n"), tmp_path)


def test_commands_that_fail_are_seen(tmp_path: Path) -> None:
    assert carry_out(Recipe("", [], "false | true\n"), tmp_path).returncode != 0
