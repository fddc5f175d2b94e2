"""With which status every command ends: 0 done, 1 something was refused, 2 the command line is wrong, 75 try again.

Enters: a small database, free or held by another process, commands. Leaves: their statuses, and a sentence where it is
not 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.clock import now_ms
from engine.lease import Lease
from engine.store.database import open_database
from lab.runs import consumers, engine_on, install, pack_of
from tests.acceptance.test_cli import ALL
from tests.integration.test_replay_command import run
from tests.simulation.line import Line


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an incident, a dead letter, and its exported log; the packs and files that the commands name."""
    folder = tmp_path_factory.mktemp("lived")
    with engine_on(f"sqlite:///{folder / 'run.db'}", 2, consumers=consumers()) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        now = now_ms()
        line.report(1, now)
        line.close(1, now + 1)
        line.close(1, now + 2)  # impossible
        engine.drain()
    run("log", "export", "-o", folder / "log.jsonl", "--database", f"sqlite:///{folder / 'run.db'}", status=0)
    (folder / "good.jsonl").write_text('{"specversion":"1.0"}\n')
    (folder / "bad-pack").mkdir()
    return folder


@pytest.fixture
def folder(lived: Path, monkeypatch: pytest.MonkeyPatch, as_it_was: None) -> Path:
    """The folder to work in: what a row does to the database changes no other's status."""
    monkeypatch.chdir(lived)
    return lived


@pytest.fixture
def held(folder: Path) -> Iterator[None]:
    """Another process writes to the database, and its server does not answer."""
    database = open_database(f"sqlite:///{folder / 'run.db'}")
    lease = Lease(database)
    yield
    lease.close()
    database.close()


DONE, WRONG, USAGE, TRY_AGAIN = 0, 1, 2, 75
ROWS = (
    # words, status where the database is free, status where another process holds it
    ("alert follow --count 1", TRY_AGAIN, TRY_AGAIN),  # no server answers
    ("alert list", DONE, DONE),
    ("alert list --grid NOWHERE", USAGE, USAGE),
    ("archive list", DONE, DONE),
    ("archive order --before 2020-01-01T00:00+08:00", DONE, TRY_AGAIN),
    ("archive order --before 2999-01-01T00:00+08:00", USAGE, TRY_AGAIN),
    ("archive preview --before 2020-01-01T00:00+08:00", DONE, DONE),
    ("archive return", DONE, DONE),
    ("archive return nothing", WRONG, WRONG),
    ("archive write", DONE, DONE),
    ("assess --card NOTHING", USAGE, USAGE),
    ("assess --card TOWN-QUARTER --period 2026-Q1", DONE, DONE),
    ("audit anchor", DONE, DONE),
    ("audit chains", DONE, DONE),
    ("audit list", DONE, DONE),
    ("audit verify", DONE, DONE),
    ("audit verify --anchor nowhere.jsonl", USAGE, USAGE),
    ("backup copy.db", DONE, DONE),
    ("backup run.db", WRONG, WRONG),  # there is such a file
    ("bench --scale 0", USAGE, USAGE),
    ("case list", DONE, DONE),
    ("case list --definition nothing", USAGE, USAGE),
    ("case show WY01.none", WRONG, WRONG),
    ("channel check", WRONG, WRONG),  # no file is named
    ("channel deliveries", DONE, DONE),
    ("channel list", DONE, DONE),
    ("channel retry nothing", USAGE, USAGE),
    ("channel test nothing", WRONG, WRONG),
    ("clock settle --why right", DONE, TRY_AGAIN),
    ("clock show", DONE, TRY_AGAIN),
    ("db copy --from sqlite:///run.db --database sqlite:///other.db", DONE, TRY_AGAIN),
    ("db restart-feed", DONE, TRY_AGAIN),
    ("db upgrade", DONE, DONE),  # it is of this release
    ("deadletter erase LETTER", DONE, TRY_AGAIN),
    ("deadletter list", DONE, DONE),
    ("deadletter replay 0.99", WRONG, WRONG),
    ("deadletter replay LETTER", WRONG, TRY_AGAIN),  # refused again
    ("deadletter show 0.99", WRONG, WRONG),
    ("deadline explain --limit 4wh --from 2026-02-14T17:00+08:00", DONE, DONE),
    ("deadline explain --limit 4xx --from 2026-02-14T17:00+08:00", USAGE, USAGE),
    ("deadline explain WY01.none", USAGE, USAGE),
    ("demo city --database sqlite:///run.db", WRONG, TRY_AGAIN),  # it holds another history
    ("demo run --for 1 --rate 0", USAGE, USAGE),
    ("demo year --database sqlite:///run.db", WRONG, TRY_AGAIN),  # it holds another history
    ("deduction list", DONE, DONE),
    ("deduction list --year soon", USAGE, USAGE),
    ("draw cases NOTHING", USAGE, USAGE),
    ("draw verify NOTHING", USAGE, USAGE),
    ("duty show WY01-01-MEMBER", DONE, DONE),
    ("duty show NOBODY", USAGE, USAGE),
    ("export map", DONE, DONE),
    ("export map --grid NOWHERE", USAGE, USAGE),
    ("export organisation --csv posts", DONE, DONE),
    ("export workflow", DONE, DONE),
    ("facts export -o facts.jsonl", DONE, DONE),
    ("import boston311 nowhere.csv", USAGE, USAGE),
    ("import boston311 log.jsonl", WRONG, WRONG),  # not the columns
    ("incident erase WY01.none", WRONG, TRY_AGAIN),
    ("incident list", DONE, DONE),
    ("incident list --at 2015-07-03T17:00-04:00", DONE, DONE),  # before the first record: empty
    ("incident list --at 2099-07-03T17:00-04:00", USAGE, USAGE),  # still to come
    ("incident list --sort nothing", USAGE, USAGE),
    ("incident show WY01.none", WRONG, WRONG),
    ("ledger -o ledger.csv", DONE, DONE),
    ("ledger -o ledger.csv --grid NOWHERE", USAGE, USAGE),
    ("log export -o again.jsonl", DONE, DONE),
    ("log retry", DONE, TRY_AGAIN),
    ("log settle 0 0", USAGE, USAGE),
    ("log settle 0 99999 --skip", USAGE, TRY_AGAIN),  # there is no such record
    ("log standing", DONE, DONE),
    ("notice list", DONE, DONE),
    ("ops write machine", DONE, DONE),
    ("pack activate bad-pack", WRONG, WRONG),
    ("pack activate weiyang", DONE, TRY_AGAIN),
    ("pack activate weiyang --at 2026-01-01T00:00Z", WRONG, TRY_AGAIN),  # its time is that of the wall
    ("pack check bad-pack", WRONG, WRONG),
    ("pack check weiyang", DONE, DONE),
    ("pack diff active weiyang", DONE, DONE),
    ("pack diff bad-pack weiyang", WRONG, WRONG),
    ("pack diff weiyang nowhere", USAGE, USAGE),
    ("pack list", DONE, DONE),
    ("performance cases nothing", USAGE, USAGE),
    ("performance cases reported", DONE, DONE),
    ("performance rebuild", DONE, TRY_AGAIN),
    ("performance show", DONE, DONE),
    ("performance show --at 2099-07-03T17:00-04:00", USAGE, USAGE),
    ("performance show --period eon", USAGE, USAGE),
    ("principal add NOBODY", USAGE, TRY_AGAIN),
    ("principal add WY01-CHIEF", DONE, TRY_AGAIN),
    ("principal list", DONE, DONE),
    ("principal rotate WY02-CHIEF", WRONG, TRY_AGAIN),  # nobody is there
    ("principal token somebody", DONE, DONE),
    ("principal withdraw WY02-CHIEF", WRONG, TRY_AGAIN),
    ("publish good.jsonl", WRONG, TRY_AGAIN),
    ("publish nowhere.jsonl", USAGE, USAGE),
    ("replay log.jsonl", DONE, TRY_AGAIN),  # it holds this very log
    ("replay good.jsonl", WRONG, TRY_AGAIN),
    ("replay good.jsonl --packs nowhere.csv", USAGE, USAGE),
    ("replay nowhere.jsonl", USAGE, USAGE),
    ("responsibility list --body NOTHING", USAGE, USAGE),
    ("responsibility list --unsigned", DONE, DONE),
    ("responsible --grid NOWHERE", USAGE, USAGE),
    ("responsible --grid WY01-01 --category D3-01 --lang en", DONE, DONE),
    ("restore nowhere.db", USAGE, USAGE),
    ("restore run.db", WRONG, WRONG),  # there is a database already
    ("report bulletin -o bulletin.html", DONE, DONE),
    ("report bulletin -o bulletin.html --period 2026-Q1", USAGE, USAGE),
    ("report letter --id WY01.none", WRONG, WRONG),
    ("schema", DONE, DONE),
    ("schema nothing", USAGE, USAGE),
    ("serve --listen 127.0.0.1:0 --for 0.1", DONE, TRY_AGAIN),
    ("serve --role nobody", USAGE, USAGE),
    ("targets list", DONE, DONE),
    ("targets list --year never", USAGE, USAGE),
    ("targets show WY01.none", WRONG, WRONG),
    ("task code nothing", DONE, DONE),
    ("task code nothing --grid NOWHERE", USAGE, USAGE),
    ("task list --post NOBODY", USAGE, USAGE),
    ("task list --post WY01-01-MEMBER", DONE, DONE),
    ("topic create", WRONG, WRONG),  # no broker is named
    ("verify", DONE, DONE),
    ("verify --expect 00", USAGE, USAGE),
    ("whatif --pack nothing --from 2026-01-01T00:00+08:00", WRONG, WRONG),
    ("whatif --pack weiyang --from 2026-01-01T00:00+08:00", DONE, DONE),
    ("whatif --pack weiyang --from 2026-02-01T00:00+08:00 --to 2026-01-01T00:00+08:00", USAGE, USAGE),
)


def test_every_command_has_a_row() -> None:
    named = {name for name in ALL for row in ROWS if row[0].startswith(name)}
    assert named == set(ALL)


def given(words: str, status: int) -> None:
    if "LETTER" in words:
        letter = json.loads(run("deadletter", "list", "--json", **HERE, status=0).stdout)[0]["id"]
        words = words.replace("LETTER", letter)
    told = run(*words.split(), status=status, **HERE)
    assert status == DONE or told.stderr.strip() or told.stdout.strip()


HERE: dict[str, Any] = {"database": "sqlite:///run.db", "listen": "127.0.0.1:9", "partitions": "2"}


@pytest.mark.parametrize(("words", "status"), [(words, free) for words, free, _ in ROWS])
def test_a_command_ends_with_this_status(words: str, status: int, folder: Path) -> None:
    given(words, status)


@pytest.mark.parametrize("words", [words for words, free, held in ROWS if held != free])
def test_a_command_that_needs_the_database_alone_is_worth_another_try(words: str, folder: Path, held: None) -> None:
    given(words, TRY_AGAIN)


@pytest.mark.parametrize("words", ["alert list", "facts export -o facts.jsonl"])
def test_what_reads_does_not_wait_for_who_writes(words: str, folder: Path, held: None) -> None:
    given(words, DONE)


@pytest.mark.parametrize("name", ALL)
def test_a_command_line_that_is_wrong_ends_with_2(name: str) -> None:
    assert "No such option" in run(*name.split(), "--nonsense", status=USAGE).stderr


def test_a_database_that_does_not_answer_is_worth_another_try() -> None:
    url = "postgresql://gridpatrol@127.0.0.1:1/gridpatrol"
    assert "gridpatrol: cannot open" in run("incident", "list", "--database", url, status=TRY_AGAIN).stderr
