"""A closed month leaves the tables by command: what had ended is found by its stub, told, verified and brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.store.database import open_database
from tests.acceptance.test_cli import answer, city, copy, facts, folder_of_its_own, month, run

__all__ = ["city", "copy", "folder_of_its_own", "month"]


def test_a_closed_month_leaves_the_tables_and_its_incidents_are_still_found(
    copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDPATROL_ARCHIVES", str(tmp_path / "files"))
    here, before = ("--database", copy), ("--before", "2026-04-01T00:00+08:00")
    out = answer("archive", "preview", *before, *here)["leaving"]
    early = run("archive", "order", *before, *here, status=2)
    assert "90 days back" in early.stderr  # the history ends a day before
    run("clock", "settle", "--why", "the history goes on live", *here)
    run("archive", "order", *before, *here)
    told, published = facts(copy), answer("performance", "show", "--day", "2026-03-15", "--published", *here)["rows"]
    moved = answer("archive", "write", *here)
    assert out["cases"] <= moved["cases"] > 5 and moved["steps"] > moved["cases"]
    run("verify", *here)
    assert facts(copy) == told
    assert answer("performance", "show", "--day", "2026-03-15", "--published", *here)["rows"] == published
    page = answer("performance", "show", "--day", "2026-03-15", *here)
    assert page["standing"] == page["held"] == [] and "archived" in page["remark"]  # what stood then is not known
    assert "archived" in answer("incident", "list", "--at", "2026-03-20T09:00+08:00", *here)["remark"]
    [file, *_] = answer("archive", "list", *here)["archives"]
    with open_database(copy).read() as connection:
        sql = "SELECT id, short_number FROM archived_cases WHERE archive = :file"
        case, number = connection.exec_driver_sql(sql, {"file": file["name"]}).first() or ("", "")
    gone = run("incident", "show", case, *here, status=1)
    assert file["name"] in gone.stderr and "archived" in gone.stderr
    assert file["name"] in run("incident", "list", "--search", number, *here).stdout
    [found] = answer("incident", "list", "--search", number, *here)["archived"]
    assert (found["id"], found["archive"]) == (case, file["name"])
    refused = run("performance", "rebuild", *here, status=1)
    assert "archive return" in refused.stderr
    made = answer("backup", tmp_path / "backup.db", *here)
    assert made["mismatches"] == 0
    (tmp_path / "files" / file["name"]).rename(tmp_path / "elsewhere")
    for words in (("verify",), ("facts", "export"), ("backup", tmp_path / "more.db"), ("archive", "return")):
        assert file["name"] in run(*words, *here, status=1).stderr
    (tmp_path / "elsewhere").rename(tmp_path / "files" / file["name"])
    assert answer("archive", "return", *here)["cases"] == moved["cases"]
    run("performance", "rebuild", *here)
    run("verify", *here)
    assert facts(copy) == told
