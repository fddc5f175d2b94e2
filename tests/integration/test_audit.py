"""Who read what is sealed, erased it or acted as an operator stands in the audit, on each database, nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import admission
from engine.clock import now_ms
from engine.http import operator, people
from engine.operations import erasure
from engine.operations.auditing import audited
from engine.operations.principal_changes import PrincipalChanges
from engine.principals import Operator, Principals
from engine.runtime import Engine
from engine.store import audit, dead_letters
from engine.store.audit import Act
from schemas.refusals import Refusal
from tests.integration.test_door import report
from tests.integration.test_erasure import CASE, NAME, OTHER, bodies, keep_bad
from tests.support.builders import HOUR, OPERATOR, STREET, event, shipped, subject, weiyang
from tests.support.recorded import gridpatrol
from tests.support.serving import prepared, served, tell
from tests.support.settings_files import put_file, read_at_once
from workflows.policy import model

ROW = ("who", "act", "object", "via", "outcome")


def acts(engine: Engine) -> list[tuple[str, ...]]:
    """Every row of the audit but its instant, the first one first."""
    with engine.database.read() as connection:
        rows = audit.listed(connection, limit=1000)
    return [tuple(str(getattr(row, name)) for name in ROW) for row in reversed(rows)]


def refused_event(engine: Engine, case: str, id_: str) -> str:
    """An event that the rules refuse; its letter."""
    said = event("incident.accepted", "NOBODY", now_ms(), case=case, id=id_, note=NAME)
    assert tell(engine, said, now_ms()) == "refused"
    with engine.database.read() as connection:
        return next(row.id for row in dead_letters.listed(connection) if row.event_id == id_)


def early(engine: Engine) -> tuple[int, int]:
    """A record that is stamped an hour ahead and waits; its place."""
    received = admission.receive(msgspec.json.encode(report(subject("WY02", 5), now_ms())), "test", engine.count)
    assert not isinstance(received, Refusal)
    [row] = engine.append([received[0]], now_ms() + HOUR)
    return row.partition, row.position


def test_each_route_of_operators_leaves_a_row_with_who_asked_and_what_became_of_it(database_url: str) -> None:
    """A route that is added without one fails here."""
    with prepared(database_url) as engine:
        assert tell(engine, report(CASE, now_ms(), reporter_name=NAME), now_ms()) == "done"
        letter, other = refused_event(engine, CASE, "a"), refused_event(engine, CASE, "b")
        partition, position = early(engine)
        pack = weiyang().pack
        asked: dict[str, tuple[str, Any, tuple[str, ...]]] = {
            # a route, with what stands for its parameter, the body, and the row
            "/v1/operator/settlements": (
                "",
                {"partition": partition, "position": position, "verdict": "skip"},
                ("record.settled", f"{partition}.{position}", "skip"),
            ),
            "/v1/operator/clock": ("", {"why": "checked"}, ("clock.settled", "clock", "done")),
            "/v1/operator/tries": ("", {}, ("cases.tried", "all", "done")),
            "/v1/operator/archives": ("", {"before": 0}, ("archive.ordered", "1970-01-01T00:00:00.000Z", "done")),
            "/v1/operator/packs": ("", pack, ("pack.activated", model.digest(pack), "done")),
            "/v1/operator/letters/{letter:str}/replays": (
                letter,
                None,
                ("letter.replayed", letter, "refused unknown_code"),
            ),
            "/v1/operator/letters/{letter:str}/erasures": (
                other,
                {"by": "clerk"},
                ("letter.erased", other, "1 events, 1 letters"),
            ),
            "/v1/operator/incidents/{incident:str}/erasures": (
                CASE,
                {"by": "clerk"},
                ("incident.erased", CASE, "2 events, 2 letters"),
            ),
            "/v1/operator/people": ("", {"post": STREET}, ("principal.added", f"post:{STREET}", "done")),
            "/v1/operator/people/{code:str}/tokens": (
                STREET,
                {"at_once": True},
                ("principal.rotated", f"post:{STREET}", "at once"),
            ),
            "/v1/operator/people/{code:str}/withdrawals": (
                STREET,
                None,
                ("principal.withdrawn", f"post:{STREET}", "done"),
            ),
        }
        assert set(asked) == {path for route in [*operator.ROUTES, *people.ROUTES] for path in route.paths}
        with served(engine) as door:
            for path, (name, body, (act, about, outcome)) in asked.items():
                url = "/".join(name if part.startswith("{") else part for part in path.split("/"))
                answer = door.client.post(
                    url, content=b"" if body is None else msgspec.json.encode(body), headers={operator.ACCOUNT: "clerk"}
                )
                assert answer.is_success, answer.text
                assert acts(engine)[-1] == ("local:clerk", act, about, "http", outcome)
        assert len(acts(engine)) == len(asked)


def test_each_command_of_operators_leaves_a_row(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url) as engine:
        assert tell(engine, report(CASE, now_ms(), reporter_name=NAME), now_ms()) == "done"
        letter = refused_event(engine, CASE, "a")
        keep_bad(engine)
        partition, position = early(engine)
    told = [
        # words of a command, and the row
        (("deadletter", "show", letter, "--bytes"), ("sealed.read", letter, "done")),
        (("deadletter", "erase", "door-bad"), ("letter.erased", "door-bad", "0 events, 1 letters")),
        (("deadletter", "show", "door-bad", "--bytes"), ("sealed.read", "door-bad", "gone")),
        (("log", "settle", partition, position, "--skip"), ("record.settled", f"{partition}.{position}", "skip")),
        (("clock", "settle"), ("clock.settled", "clock", "done")),
        (("incident", "erase", CASE), ("incident.erased", CASE, "2 events, 1 letters")),
        (("pack", "activate", "weiyang"), ("pack.activated", shipped().hash, "done")),
        (("performance", "rebuild"), ("figures.rebuilt", "", "done")),
        (("db", "restart-feed"), ("feed.restarted", "", "done")),
        (("principal", "add", STREET), ("principal.added", f"post:{STREET}", "done")),
        (("principal", "rotate", STREET, "--at-once"), ("principal.rotated", f"post:{STREET}", "at once")),
        (("principal", "withdraw", STREET), ("principal.withdrawn", f"post:{STREET}", "done")),
        (("incident", "show", CASE, "--words", "--post", STREET), ("words.read", CASE, "with contact")),
    ]
    for words, _ in told:
        gridpatrol(*words, database=database_url)
    listed = json.loads(gridpatrol("audit", "list", "--json", database=database_url))
    assert [(row["act"], row["object"], row["outcome"]) for row in reversed(listed)] == [row for _, row in told]
    assert {(row["who"].partition(":")[0], row["via"]) for row in listed} == {("local", "cli")}
    assert NAME not in str(listed)


def test_the_audit_is_listed_by_act_object_and_time(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        assert tell(engine, report(CASE, now_ms()), now_ms()) == "done"
        letter = refused_event(engine, CASE, "a")
        for act, about in ((Act.SEALED_READ, letter), (Act.SEALED_READ, "1.1"), (Act.RECORD_SETTLED, "0.1")):
            with engine.database.begin() as connection:
                audit.write(connection, OPERATOR, act, about)
        with engine.database.begin() as connection:
            connection.exec_driver_sql("UPDATE audit SET at = 1772413200000 WHERE object = '1.1'")
            connection.exec_driver_sql("UPDATE audit SET at = at + 1 WHERE object = '0.1'")

    def seen(*words: str) -> list[str]:
        return [row["object"] for row in json.loads(gridpatrol("audit", "list", "--json", *words, database=sqlite_url))]

    assert seen() == ["0.1", letter, "1.1"]
    assert seen("--act", "sealed.read") == [letter, "1.1"]
    assert seen("--object", letter) == [letter]
    assert seen("--since", "2026-03-02T09:00:00.001+08:00") == ["0.1", letter]
    assert seen("--until", "2026-03-02T09:00:00.001+08:00") == seen("--since", "2026-03-02T09:00+08:00")[2:] == ["1.1"]
    assert seen("--limit", "1") == ["0.1"]
    head, first, *_ = gridpatrol("audit", "list", database=sqlite_url).splitlines()
    assert head.split() == ["at", *ROW] and first.split()[2:] == [
        "local:somebody",
        "record.settled",
        "0.1",
        "cli",
        "done",
    ]


REFUSES = "CREATE TRIGGER refuses BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no row today'); END"


def test_what_cannot_be_audited_is_neither_shown_nor_erased(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        assert tell(engine, report(CASE, now_ms(), reporter_name=NAME), now_ms()) == "done"
        letter, before = refused_event(engine, CASE, "a"), bodies(engine)
        with engine.database.begin() as connection:
            connection.exec_driver_sql(REFUSES)
        for action in (erasure.erase, erasure.erase_letter):
            with pytest.raises(Exception, match="no row today"):
                action(engine, CASE if action is erasure.erase else letter, OPERATOR)
        assert bodies(engine) == before
    shown = gridpatrol("deadletter", "show", letter, "--bytes", status=1, database=sqlite_url)
    assert "unknown_code" not in shown and "record" not in shown
    assert "unknown_code" in gridpatrol("deadletter", "show", letter, database=sqlite_url)


def test_an_act_that_fails_says_so_and_one_that_never_ended_stays_begun(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        with pytest.raises(ValueError, match="x"), audited(engine.database, OPERATOR, Act.PACK_ACTIVATED, "h"):
            assert acts(engine)[-1][-1] == "begun"
            raise ValueError("x")
        assert acts(engine)[-1][-1] == "failed"


def test_the_audit_goes_into_copies_and_into_no_export(sqlite_url: str, tmp_path: Path) -> None:
    who = "local:one-of-a-kind"
    with prepared(sqlite_url) as engine:
        assert tell(engine, report(OTHER, now_ms()), now_ms()) == "done"
        with engine.database.begin() as connection:
            audit.write(connection, Operator(who, "cli"), Act.SEALED_READ, "1.1")
    copy = f"sqlite:///{tmp_path / 'copy.db'}"
    gridpatrol("db", "copy", "--from", sqlite_url, database=copy)
    listed = [json.loads(gridpatrol("audit", "list", "--json", database=url)) for url in (sqlite_url, copy)]
    assert listed[0] == listed[1]
    assert [(row["act"], row["who"] == who) for row in listed[0]] == [("database.copied", False), ("sealed.read", True)]
    for command in ("log", "facts"):
        assert who not in gridpatrol(command, "export", database=sqlite_url)


def test_a_backup_and_its_restore_are_in_the_audit_of_what_was_restored(sqlite_url: str, tmp_path: Path) -> None:
    with prepared(sqlite_url) as engine:
        assert tell(engine, report(OTHER, now_ms()), now_ms()) == "done"
    file, place = tmp_path / "a.db", f"sqlite:///{tmp_path / 'restored.db'}"
    gridpatrol("backup", file, database=sqlite_url)
    gridpatrol("restore", file, database=place)
    for url, told in ((sqlite_url, ["backup.made"]), (place, ["backup.restored", "backup.made"])):
        listed = json.loads(gridpatrol("audit", "list", "--json", database=url))
        assert [(row["act"], row["object"]) for row in listed] == [(act, str(file)) for act in told]


def test_a_change_of_the_file_of_principals_is_audited_once_whoever_finds_it(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that was made while no door ran; what the file says is not told, least of all a token."""
    read_at_once(monkeypatch)
    file, digest = tmp_path / "principals.toml", f"sha256:{'0' * 64}"

    def write(*entries: str) -> None:
        put_file(file, "\n".join(f"[principal.{entry}" for entry in entries))
        file.chmod(0o600)

    write('app]\nactors = ["WY*"]', "ops]\noperator = true")
    with prepared(database_url) as engine:
        first, second = (PrincipalChanges(Principals(str(file))) for _ in range(2))

        def seen() -> list[tuple[str, str]]:
            before = len(acts(engine))
            for gateway in (first, second, first):
                gateway(engine.database)
            # Rows of one millisecond stand in any order.
            return sorted((act, name) for _, act, name, _, _ in acts(engine)[before:])

        assert seen() == [("principal.added", "app"), ("principal.added", "ops")]
        write('app]\nactors = ["WY*"]', f'ops]\noperator = true\ntokens = ["{digest}"]', "new]\nreads = true")
        assert seen() == [("principal.added", "new"), ("principal.changed", "ops")]
        write("new]\nreads = true")
        first = second = PrincipalChanges(Principals(str(file)))
        assert seen() == [("principal.removed", "app"), ("principal.removed", "ops")]
        assert {(row[0].partition(":")[0], row[3]) for row in acts(engine)} == {("local", "file")}
        assert digest not in str(acts(engine))


def test_two_who_write_at_once_have_rows_of_their_own(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine, engine.database.begin() as connection:
        ids = {audit.write(connection, OPERATOR, Act.SEALED_READ, "1.1") for _ in range(500)}
    assert len(ids) == 500
