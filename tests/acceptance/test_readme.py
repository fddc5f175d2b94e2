"""What the README shows is what the programs print."""

import re

import pytest

from gridpatrol import readme

TEXT = readme.README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", readme.blocks())
def test_a_block_of_the_readme_is_as_its_program_writes_it(name: str) -> None:
    assert readme.block(TEXT, name) == readme.blocks()[name](), "stale: run `make fresh`"


def test_the_story_ends_closed_by_someone_on_site() -> None:
    story = readme.block(TEXT, "timeline")
    assert re.search(r"verified .*网格员.*solved", story) and "结案 closed" in story


def test_writing_the_readme_changes_nothing_but_its_blocks() -> None:
    written = readme.replaced(TEXT, "proof", "another proof")
    assert readme.block(written, "proof") == "another proof"
    assert readme.replaced(written, "proof", readme.block(TEXT, "proof")) == TEXT
