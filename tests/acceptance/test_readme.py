"""What the README and the pages of docs/ show is what the programs print."""

import re
from pathlib import Path

import pytest

from engine.replay import replay_events
from engine.settings import Settings
from gridpatrol.render import readme
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty, writing

TEXT = readme.README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", readme.blocks())
def test_a_block_is_as_its_program_writes_it(name: str) -> None:
    text = readme.page_of(name).read_text(encoding="utf-8")
    assert readme.block(text, name) == readme.blocks()[name](), "stale: run `make fresh`"


def test_every_block_of_a_page_is_written_by_a_program() -> None:
    texts = [page.read_text(encoding="utf-8") for page in readme.pages()]
    found = [name for text in texts for name in re.findall(r"<!-- begin (\w+) -->", text)]
    assert sorted(found) == sorted([*readme.blocks(), "proof"])


def test_the_story_ends_closed_by_someone_on_site() -> None:
    story = readme.block(TEXT, "timeline")
    assert re.search(r"verified .*网格员.*solved", story) and "结案 closed" in story


def test_writing_the_readme_changes_nothing_but_its_blocks() -> None:
    written = readme.replaced(TEXT, "proof", "another proof")
    assert readme.block(written, "proof") == "another proof"
    assert readme.replaced(written, "proof", readme.block(TEXT, "proof")) == TEXT


def test_the_event_that_the_readme_publishes_is_taken(tmp_path: Path) -> None:
    body = re.search(r"-d '(\{.*?\})'", TEXT, re.DOTALL)
    assert body is not None
    settings = Settings(database=f"sqlite:///{tmp_path / 'readme.db'}", pack="weiyang", log_level="WARNING")
    with writing(settings) as engine:
        install_if_empty(engine, BEFORE_ALL)
        done = replay_events(engine, [" ".join(body.group(1).split()).encode()], "readme")
    assert done.outcomes == {"done": 1}
