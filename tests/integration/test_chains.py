"""Whatever is changed of what was chained is found and named, on each database; what may be changed is not.

In: steps of several partitions with sealed words, letters, acts, a file of what is archived; then hands that edit,
remove, put in and move, in the tables, in the file and in the chains themselves. Out: findings.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import verify
from consumers.audit import anchors, chainer, verification
from consumers.audit.chainer import Chainer
from consumers.audit.verification import Verified
from engine import chain_form, failpoints
from engine.archive_file import ArchiveFolder
from engine.chain_form import Link
from engine.clock import now_ms
from engine.operations import erasure
from engine.operations.retention import DAY_MS, LetterRetention
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import audit, chains, copying, dead_letters
from engine.store.audit import Act
from engine.store.database import Connection, Database, open_database
from engine.store.rows import AuditRow, LetterRow, StepRow
from engine.store.sql import execute, fetch, text_of
from gridpatrol.run import closed_years
from schemas.facts import decode_cause
from schemas.partition import home_of, partition_of
from tests.integration.test_archiving import archive, closed_in_march, consumed, settings_for
from tests.integration.test_door import report
from tests.integration.test_erasure import CASE, NAME, keep_bad, name_people
from tests.simulation.line import line_on
from tests.support.builders import DAY, HOUR, OPERATOR, STREET, event, subject
from tests.support.serving import prepared, tell

NOWHERE = ArchiveFolder(Path("nowhere"))
ELSEWHERE = subject("WY02", 3)
Hands = Callable[[Connection], object]


def chained(database: Database, seed: str = "") -> None:
    """Everything is chained; with a seed, by fixed salts and at one instant."""
    salts = iter(range(10_000))
    fixed = {"now": lambda: 1_772_413_200_000, "salt": lambda: f"{seed}{next(salts)}"} if seed else {}
    Chainer(database, **fixed).catch_up()  # type: ignore[arg-type]


def looked(database: Database, kept: list[str] | None = None, folder: ArchiveFolder = NOWHERE) -> Verified:
    """What is found."""
    return verification.verify(database, folder, kept or [])


def told(found: Verified) -> list[tuple[str, str, str]]:
    """Findings without their details."""
    return [(each.what, each.where, each.how) for each in found.findings]


@contextmanager
def lived(url: str) -> Iterator[Engine]:
    """Three cases in two partitions, of which people were named, letters of a log and of a door, and acts."""
    with prepared(url) as engine:
        name_people(engine)
        then = now_ms() - DAY
        assert tell(engine, report(ELSEWHERE, then, "WY02-01", reporter_name=NAME), then) == "done"
        for k in range(3):
            said = event("comment.added", STREET, then + HOUR + k, case=CASE, id=f"more-{k}", text=f"{NAME}{k}")
            assert tell(engine, said, then + HOUR + k) == "done"
        with engine.database.begin() as connection:
            audit.write(connection, OPERATOR, Act.SEALED_READ, "1.1")
            row = audit.write(connection, OPERATOR, Act.PACK_ACTIVATED, "h", audit.BEGUN)
        chained(engine.database)
        with engine.database.begin() as connection:
            audit.end(connection, row)
        chained(engine.database)
        yield engine


def links(database: Database, name: str) -> list[Link]:
    """The links of a chain."""
    with database.read() as connection:
        return list(chains.links_of(connection, name))


@pytest.mark.mechanism("M125")
def test_the_same_rows_have_the_same_hashes_on_both_databases(sqlite_url: str, postgres_url: str) -> None:
    with prepared(sqlite_url) as engine, closing(open_database(postgres_url)) as other:
        name_people(engine)
        copying.copy(engine.database, other, lambda done, of: None)
        for database in (engine.database, other):
            chained(database, "salt")
            assert told(looked(database)) == []
        with other.read() as connection:
            names = sorted(chains.read_chains(connection))
        assert names == ["letters", f"steps/{PLACE}"]
        for name in names:
            assert links(engine.database, name) == links(other, name) != []
        assert any(link.sealed for name in names for link in links(other, name))


def test_the_first_form_is_as_it_was() -> None:
    """What was chained once is read for ever: a form that changes is another form, with another number."""
    row = StepRow(3, 17, "WY01.x", 2, 5, 20260302, "p", "incident", "/XA/", "D3-01", "dust", "", "", "{}", "[]")
    assert chain_form.step_item(row) == "SQyUjpmn5ZvYlwze_-Of7JIvjtP_MMvmGT-xd4yzK_o"
    letter = LetterRow("3.5", 7, 3, None, "forbidden", "actor", "why", "app", "1", "t", "WY01.x", "app", "")
    assert chain_form.letter_item(letter) == "4MEdxxTCBvJh3cfGkxLvy3dNgDA4FssD78uq9cI8hZc"
    assert (
        chain_form.act_item(AuditRow("1", 7, "ops:me", "pack.activated", "h", "cli", "done"))
        == "8AWAJCbyDk8i4x_czwpKzYqnhyuex69ipeSeBjr3F-k"
    )
    assert chain_form.commitment("salt", "words") == "aT9XfhrJu4ujHOhNizhts2s223zagKyrhLKdCyfmlig"
    link = Link("steps/3", 17, 1, 1, "", "item", "sealed", "exempted", 9)
    assert (
        chain_form.hash_of(chain_form.first_hash("steps/3", 1, "", ""), link)
        == "og5OKGllSi3Yo2PLXBU5S-vsJj2qwY-MVOWlP2JceFg"
    )


def sql(text: str, *values: object) -> Hands:
    """Hands that execute one statement."""
    return lambda connection: execute(connection, text, *values)


def sealed_of_a_step(text: str) -> Hands:
    """Hands that execute a statement about what lies sealed of a step."""

    def change(connection: Connection) -> None:
        causes = fetch(connection, "SELECT cause FROM facts WHERE partition = ? ORDER BY n", PLACE)
        execute(connection, text, next(token for row in causes if (token := decode_cause(row[0]).token)))

    return change


def edited_step(connection: Connection) -> None:
    """One byte of the text of a step, as whoever knows the form in which SQLite keeps it."""
    body = fetch(connection, f"SELECT {text_of(connection, 'body')} FROM facts WHERE partition = ? AND n = 2", PLACE)
    execute(connection, "UPDATE facts SET body = ? WHERE partition = ? AND n = 2", body[0][0] + " ", PLACE)


def swapped(connection: Connection) -> None:
    for before, after in ((2, -1), (3, 2), (-1, 3)):
        execute(connection, "UPDATE facts SET n = ? WHERE partition = ? AND n = ?", after, PLACE, before)


def put_in(connection: Connection) -> None:
    """A step that nobody took, between two; all that follow move up."""
    last = fetch(connection, "SELECT max(n) FROM facts WHERE partition = ?", PLACE)[0][0]
    for n in range(last, 2, -1):
        execute(connection, "UPDATE facts SET n = n + 1 WHERE partition = ? AND n = ?", PLACE, n)
    names = ", ".join(name for name in StepRow.__struct_fields__ if name not in ("n", "seq"))
    copied = f"INSERT INTO facts (n, seq, {names}) SELECT 3, 99, {names} FROM facts WHERE partition = ? AND n = 2"
    execute(connection, copied, PLACE)
    execute(connection, "UPDATE partitions SET n = n + 1 WHERE partition = ?", PLACE)


def closed_up(connection: Connection) -> None:
    """A step that is gone, and those that follow in its place."""
    last = fetch(connection, "SELECT max(n) FROM facts WHERE partition = ?", PLACE)[0][0]
    execute(connection, "DELETE FROM facts WHERE partition = ? AND n = 2", PLACE)
    for n in range(3, last + 1):
        execute(connection, "UPDATE facts SET n = n - 1 WHERE partition = ? AND n = ?", PLACE, n)
    execute(connection, "UPDATE partitions SET n = n - 1 WHERE partition = ?", PLACE)


EXCUSE = '{"anchor":0,"digest":"","lacks":{"acts":[1,99]}}'
PLACE = partition_of(home_of(CASE), 4)
STEP = f"{PLACE}.2"
A_LETTER = "(SELECT min(id) FROM dead_letters WHERE partition IS NOT NULL)"
NEW_LETTER = "INSERT INTO dead_letters (id, at, reason, chain_due) SELECT 'new', 1, 'forbidden', {} FROM meta LIMIT 1"
CHANGES: dict[str, tuple[Hands, tuple[str, str] | list[tuple[str, str]]]] = {
    # what hands do, and (what, how) of what is found
    "a byte of a step": (edited_step, ("step", "edited")),
    "when a step arrived": (
        sql("UPDATE facts SET at = at + 1 WHERE partition = ? AND n = 2", PLACE),
        ("step", "edited"),
    ),
    "the cause of a step": (
        sql("UPDATE facts SET cause = '{}' WHERE partition = ? AND n = 2", PLACE),
        ("step", "edited"),
    ),
    "a step is gone": (sql("DELETE FROM facts WHERE partition = ? AND n = 2", PLACE), ("step", "removed")),
    "the last steps are gone": (
        sql("DELETE FROM facts WHERE partition = ? AND n > 2", PLACE),
        ("step", "removed"),
    ),
    "two steps changed places": (swapped, ("step", "moved")),
    "a step is put in": (put_in, [("step", "inserted"), ("step", "moved")]),
    "a step is gone and all move up": (
        closed_up,
        [("chain", "lacking"), ("step", "moved"), ("step", "removed")],
    ),
    "a letter is edited": (sql(f"UPDATE dead_letters SET detail = 'x' WHERE id = {A_LETTER}"), ("letter", "edited")),
    "a letter is edited and to be chained anew": (
        sql(f"UPDATE dead_letters SET detail = 'x', chain_due = true WHERE id = {A_LETTER}"),
        ("letter", "edited"),
    ),
    "a letter is gone": (sql(f"DELETE FROM dead_letters WHERE id = {A_LETTER}"), ("letter", "removed")),
    "a letter is put in": (sql(NEW_LETTER.format("false")), ("letter", "inserted")),
    "an act is edited": (sql("UPDATE audit SET who = 'x' WHERE act = 'sealed.read'"), ("act", "edited")),
    "how an act ended": (sql("UPDATE audit SET outcome = 'failed' WHERE act = 'pack.activated'"), ("act", "edited")),
    "how an act ended, to be chained anew": (
        sql("UPDATE audit SET outcome = 'x', chain_due = true WHERE act = 'sealed.read'"),
        ("act", "edited"),
    ),
    "an act is gone": (sql("DELETE FROM audit WHERE act = 'sealed.read'"), ("act", "removed")),
    "an act is put in": (
        sql("INSERT INTO audit (id, at, who, act) VALUES ('0', 1, 'x', 'sealed.read')"),
        ("act", "inserted"),
    ),
    "a sealed text": (sealed_of_a_step("UPDATE sealed SET body = 'x' WHERE token = ?"), ("sealed", "edited")),
    "a salt": (sealed_of_a_step("UPDATE sealed SET salt = 'x' WHERE token = ?"), ("sealed", "edited")),
    "a sealed text is gone": (sealed_of_a_step("DELETE FROM sealed WHERE token = ?"), ("sealed", "removed")),
    "a sealed text is erased by nobody": (
        sealed_of_a_step("UPDATE sealed SET body = '', salt = '' WHERE token = ?"),
        ("sealed", "erased"),
    ),
    "an item": (
        sql("UPDATE chain_links SET item = 'x' WHERE name = ? AND n = 2", f"steps/{PLACE}"),
        [("link", "edited"), ("step", "edited")],
    ),
    "a hash": (
        sql("UPDATE chain_links SET hash = 'x' WHERE name = ? AND n = 2", f"steps/{PLACE}"),
        [("link", "edited")],
    ),
    "when it was chained": (sql("UPDATE chain_links SET at = 1 WHERE name = 'letters'"), ("link", "edited")),
    "what inspection looks for": (sql("UPDATE chain_links SET mark = 'x' WHERE name = 'acts'"), ("link", "edited")),
    "an epoch": (
        sql("UPDATE chain_links SET epoch = 2 WHERE name = 'acts'"),
        [("anchor", "lacking"), ("link", "edited")],
    ),
    "a link is gone": (
        sql("DELETE FROM chain_links WHERE name = ? AND n = 2", f"steps/{PLACE}"),
        [("link", "edited"), ("link", "removed"), ("step", "inserted")],
    ),
    "the last links are gone": (
        sql("DELETE FROM chain_links WHERE name = 'acts' AND n > 1"),
        [("act", "inserted"), ("anchor", "lacking"), ("link", "removed")],
    ),
    "where a chain ends": (sql("UPDATE chains SET n = 1 WHERE name = 'acts'"), ("chain", "edited")),
    "a note that excuses what is there": (
        sql("UPDATE chains SET note = ?, begun = 1 WHERE name = 'acts'", EXCUSE),
        [("anchor", "edited"), ("link", "edited")],
    ),
    "what a chain begins with": (
        sql('UPDATE chains SET note = \'{"anchor":0,"digest":"","lacks":{}}\' WHERE name = \'acts\''),
        ("link", "edited"),
    ),
    "a step beyond the end": (
        sql("UPDATE facts SET n = 999 WHERE partition = ? AND n = 2", PLACE),
        [("step", "inserted"), ("step", "moved")],
    ),
    "an anchor": (sql("UPDATE anchors SET body = replace(body, '\"number\":1', '\"number\":7')"), ("anchor", "edited")),
}


@pytest.mark.mechanism("M39", "M125")
def test_every_change_is_found_and_named(database_url: str) -> None:
    with lived(database_url) as engine:
        database = engine.database
        for _ in range(2):
            with database.begin() as connection:
                anchors.make(connection, now_ms())
        assert told(looked(database)) == []
        for title, (hands, found) in CHANGES.items():
            expected = set(found if isinstance(found, list) else [found])
            with rolled_back(database) as connection:
                hands(connection)
                seen = told(verification.Verification(connection, NOWHERE).run([]))
            assert {(what, how) for what, _, how in seen} == expected, (title, seen)
            if "step" in title and found == ("step", "edited"):
                assert seen == [("step", STEP, "edited")], title
        assert told(looked(database)) == [], "the hands left something behind"


def test_what_was_moved_put_in_and_removed_is_named_by_its_number(sqlite_url: str) -> None:
    with lived(sqlite_url) as engine:
        last = engine.rows[PLACE].n

        def seen(hands: Hands) -> list[tuple[str, str, str, str]]:
            with rolled_back(engine.database) as connection:
                hands(connection)
                found = verification.Verification(connection, NOWHERE).run([]).findings
            return [(each.what, each.where, each.how, each.detail) for each in found]

        assert [each[1:] for each in seen(swapped)] == [
            (f"{PLACE}.2", "moved", f"it stands as {PLACE}.3"),
            (f"{PLACE}.3", "moved", f"it stands as {PLACE}.2"),
        ]
        moved = [(f"{PLACE}.{n}", "moved", f"it stands as {PLACE}.{n + 1}") for n in range(3, last + 1)]
        *others, new = (each[1:] for each in seen(put_in))
        assert (others, new[:2], new[2][-3:]) == (moved, (f"{PLACE}.3", "inserted"), ".99")
        removed, *rest = (each[1:3] for each in seen(closed_up) if each[0] == "step")
        assert removed == (f"{PLACE}.2", "removed") and {how for _, how in rest} == {"moved"}


def rewritten(connection: Connection) -> None:
    """Whoever knows everything: a step is edited, and its link and all later ones are made anew, with their hashes."""
    edited_step(connection)
    [chain] = [row for row in chains.read_epochs(connection) if row.name == f"steps/{PLACE}"]
    rows = {row.n: row for row in chains.steps_after(connection, PLACE, 0, 1000)}
    hash_ = chain_form.first_hash(chain.name, chain.epoch, "", chain.note)
    for link in list(chains.links_of(connection, chain.name)):
        link.item = chain_form.step_item(rows[link.n])
        hash_ = link.hash = chain_form.hash_of(hash_, link)
        update = "UPDATE chain_links SET item = ?, hash = ? WHERE name = ? AND n = ?"
        execute(connection, update, link.item, link.hash, link.name, link.n)
    execute(connection, "UPDATE chains SET hash = ? WHERE name = ?", hash_, chain.name)


def test_only_an_anchor_finds_a_chain_that_was_made_anew(database_url: str) -> None:
    with lived(database_url) as engine:
        with engine.database.begin() as connection:
            line = anchors.make(connection, now_ms()).body
        with rolled_back(engine.database) as connection:
            rewritten(connection)
            found = told(verification.Verification(connection, NOWHERE).run([]))
            assert [(what, how) for what, _, how in found] == [("anchor", "rewritten")]
            execute(connection, "DELETE FROM anchors")
            assert told(verification.Verification(connection, NOWHERE).run([])) == []
            kept = verification.Verification(connection, NOWHERE).run([line])
        assert [(each.what, each.how) for each in kept.findings] == [("anchor", "rewritten")]
        assert f"steps/{PLACE} was rewritten after link 0" in kept.findings[0].detail
        with rolled_back(engine.database) as connection:  # the chains themselves are gone, and begin anew
            for table in ("anchors", "chains", "chain_links"):
                execute(connection, f"DELETE FROM {table}")
            assert verification.Verification(connection, NOWHERE).run([line]).findings != []
        other = msgspec.json.encode(json.loads(line) | {"installation": "x"}).decode()
        with pytest.raises(anchors.AnchorsUnusable, match="another installation"):
            looked(engine.database, [other])


def test_erasing_emptying_and_resending_is_no_finding(database_url: str) -> None:
    with lived(database_url) as engine:
        database = engine.database
        erased = erasure.erase(engine, CASE, OPERATOR)
        assert erased.events and erased.letters
        assert erasure.erase_letter(engine, "door-bad", OPERATOR)
        LetterRetention(Settings(letter_days=1), lambda: now_ms() + 9 * DAY_MS)(database)
        found = looked(database)
        assert told(found) == [] and found.erased >= erased.events
        with database.read() as connection:
            salts = connection.exec_driver_sql(
                "SELECT count(*) FROM sealed WHERE body = '' AND salt <> ''"
            ).scalar_one()
            assert salts == 0, "with its salt a digest can be tried"
            digests = [link for link in chains.links_of(connection, f"steps/{PLACE}") if link.sealed]
        assert digests, "the link stays, and so does its digest"
        with database.begin() as connection:
            dead_letters.write_replayed(connection, "door-bad", "done")
        keep_bad(engine)  # the same bytes again
        assert told(looked(database)) == []
        chained(database)
        found = looked(database)
        assert (told(found), found.waiting) == ([], 0)
        assert verify.verify(database) == []


def test_a_killed_chain_goes_on_with_the_next_link(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chainer, "BATCH", 3)
    with prepared(database_url) as engine:
        name_people(engine)
        failpoints.arm("chain.before_commit:raise@2")
        try:
            with pytest.raises(failpoints.Interrupted):
                chained(engine.database)
        finally:
            failpoints.arm("")
        with engine.database.read() as connection:
            waiting, done = chains.count_waiting(connection), chains.last_number(connection)
        assert waiting > 0 and done == 3
        assert told(looked(engine.database)) == []
        chained(engine.database)
        found = looked(engine.database)
        assert (told(found), found.waiting) == ([], 0)
        assert found.steps == sum(row.n for row in engine.rows.values())


def test_what_is_archived_is_held_against_its_links(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    with line_on(database_url) as line:
        closed_in_march(line, 1, 2)
        archive(line)
        consumed(line)
        settings, database = settings_for(line, folder), line.engine.database
        moved = closed_years.write(settings, database, OPERATOR, lambda done: None)
        [name], there = moved.files, ArchiveFolder(folder)
        chained(database)
        found = looked(database, folder=there)
        assert (told(found), found.left, found.steps) == ([], 0, line.engine.rows[0].n) and moved.steps > 3
        before = (folder / name).read_bytes()
        whole = gzip.decompress((folder / name).read_bytes()).splitlines(keepends=True)
        n, line_ = next((row["facts"][1], k) for k, text in enumerate(whole) if "facts" in (row := json.loads(text)))

        def changed(lines: list[bytes]) -> list[tuple[str, str, str]]:
            """What is found where somebody writes the file anew, and its digest into the table."""
            *rows, _ = lines
            footer = {"footer": {"lines": len(rows), "digest": sha256(b"".join(rows)).hexdigest()}}
            (folder / name).write_bytes(gzip.compress(b"".join(rows) + msgspec.json.encode(footer) + b"\n"))
            digest = sha256((folder / name).read_bytes()).hexdigest()
            with rolled_back(database) as connection:
                execute(connection, "UPDATE archives SET digest = ?", digest)
                return told(verification.Verification(connection, there).run([]))

        def set_at(values: list[Any]) -> bytes:
            return msgspec.json.encode({"facts": values}) + b"\n"

        values = json.loads(whole[line_])["facts"]
        edited = [*values[:4], values[4] + 1, *values[5:]]
        assert changed([*whole[:line_], set_at(edited), *whole[line_ + 1 :]]) == [("step", f"0.{n}", "edited")]
        assert changed([*whole[:line_], *whole[line_ + 1 :]]) == [("step", f"0.{n}", "removed")]
        more = [values[0], 999, *values[2:3], 99, *values[4:]]
        assert ("step", "0.999", "inserted") in changed([*whole[: line_ + 1], set_at(more), *whole[line_ + 1 :]])
        assert changed(whole) == []
        (folder / name).write_bytes(gzip.compress(b"".join(whole)[:-9]))
        assert ("archive", name, "edited") in told(looked(database, folder=there))
        (folder / name).write_bytes(before)
        assert verify.verify(database, snapshot=closed_years.snapshot(settings)) == []


@contextmanager
def rolled_back(database: Database) -> Iterator[Connection]:
    """A transaction of which nothing stays."""

    class Undone(Exception):
        pass

    with suppress(Undone), database.begin() as connection:
        yield connection
        raise Undone
