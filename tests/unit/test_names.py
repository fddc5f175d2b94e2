"""Public names are made of words that a stranger knows: plain English, or a term that the glossary explains.

Read are the names of modules, classes, tables, event and fact types, commands and routes of what is shipped. Who knows
a word knows its plural and its past tense. Words of `plain_words.txt` that no name needs any more fail as well, and so
do terms of the glossary that stand nowhere in the code: neither list outlives the code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from engine.http.app import ROUTES
from engine.store.tables import metadata
from gridpatrol.cli import main
from schemas.events import EVENT_TYPES
from schemas.facts import AnyFact
from tests.support.source_files import ROOT, SHIPPED, lines, sources

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
PLAIN_WORDS = Path(__file__).with_name("plain_words.txt").read_text(encoding="utf-8").split()
DIALECT = {
    "told",
    "said",
    "hall",
    "desk",
    "hands",
    "turn",
    "booking",
    "greeting",
    "town",
    "speech",
    "standing",
    "words",
}
"""Words that this code used in a sense of its own: never plain."""


def words_of(name: str) -> list[str]:
    """`gridpatrol.dead_letters` and `DeadLetterRow` in words, small."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def public_names() -> Iterator[str]:
    """Everything that a stranger meets, as it is written."""
    files = [source for package in SHIPPED for source in sources(package)]
    for source in files:
        if "/migrations/versions/" not in source.path:
            yield source.module
            classes = [node.name for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
            yield from (name for name in classes if not name.startswith("_"))
    yield from (event_type.rpartition(".v")[0] for event_type in EVENT_TYPES)
    yield from (fact.__struct_config__.tag for fact in get_args(AnyFact))
    yield from metadata.tables
    yield from commands_below(main, click.Context(main))
    yield from (re.sub(r"\{[^}]*\}|/v[0-9]/", "", path) for route in ROUTES for path in route.paths)


def commands_below(group: click.Group, context: click.Context) -> Iterator[str]:
    """The names of all commands, also of those that are imported when they are asked for."""
    for name in group.list_commands(context):
        yield name
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_below(command, click.Context(command, parent=context))


def terms(text: str) -> set[str]:
    """The words of the first column of the glossary's tables."""
    rows = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {word for row in rows for word in words_of(row) if row not in ("term", "---")}


def forms(word: str) -> set[str]:
    """The word, and what it may be the plural, the past tense or the present participle of: `parked` -> `park`."""
    found = {word}
    for ending, instead in (
        ("ies", "y"),
        ("es", ""),
        ("s", ""),
        ("ied", "y"),
        ("ed", ""),
        ("d", ""),
        ("ing", ""),
        ("ing", "e"),
    ):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            found.add(word.removesuffix(ending) + instead)
    return found


def unknown(names: set[str], known: set[str]) -> dict[str, set[str]]:
    """Words that are not known, with the names that they stand in."""
    found: dict[str, set[str]] = {}
    for name in names:
        for word in words_of(name):
            if not forms(word) & known:
                found.setdefault(word, set()).add(name)
    return found


def unused(words: set[str], names: set[str]) -> set[str]:
    """Known words that no name needs."""
    return words - {form for name in names for word in words_of(name) for form in forms(word)}


def test_every_word_of_a_public_name_is_plain_or_explained() -> None:
    found = unknown(set(public_names()), terms(GLOSSARY) | set(PLAIN_WORDS))
    assert not found, lines(found)


def test_no_plain_word_outlives_the_names_that_need_it() -> None:
    assert unused(set(PLAIN_WORDS), set(public_names())) == set()


def test_plain_words_are_sorted_and_none_is_dialect_or_in_the_glossary() -> None:
    assert sorted(set(PLAIN_WORDS)) == PLAIN_WORDS
    assert set(PLAIN_WORDS) & (DIALECT | terms(GLOSSARY)) == set()


def test_every_term_of_the_glossary_stands_in_the_code() -> None:
    """Whether in a name or in the text of a file; terms in italics are not built yet."""
    code = " ".join(path.read_text(encoding="utf-8").lower() for top in SHIPPED for path in (ROOT / top).rglob("*.py"))
    rows = [row for row in re.findall(r"^\| ([^|]+) \|", GLOSSARY, re.MULTILINE) if row not in ("term", "---")]
    assert [row for row in rows if row[0] != "*" and not all(word in code for word in words_of(row))] == []


def test_terms_in_italics_live_nowhere_yet_and_all_others_somewhere() -> None:
    rows = re.findall(r"^\| ([^|]+) \|.*\| ?([^|]*?) ?\|$", GLOSSARY, re.MULTILINE)
    assert len(rows) > 50
    assert [term for term, where in rows if (term[0] == "*") == bool(where)] == []


def test_a_word_that_nobody_knows_is_found_with_its_name() -> None:
    names = {"engine.store.dead_letters", "HallRow", "CopiesStored", "Closing", "Bored"}
    known = {"engine", "store", "dead", "letter", "row", "copy", "close", "bo"}
    assert unknown(names, known) == {"hall": {"HallRow"}, "bored": {"Bored"}}


def test_a_word_that_no_name_needs_is_found() -> None:
    assert unused({"letter", "hall", "row"}, {"engine.dead_letters", "Row"}) == {"hall"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("DeadLetterRow", ["dead", "letter", "row"]),
        ("HTTPServer", ["http", "server"]),
        ("gridpatrol.boston311", ["gridpatrol", "boston"]),
        ("restart-feed", ["restart", "feed"]),
    ],
)
def test_a_name_is_read_word_by_word(name: str, words: list[str]) -> None:
    assert words_of(name) == words


def test_terms_are_read_from_the_first_column() -> None:
    assert terms("| term | 中文 |\n|---|---|\n| dead letter | 死信 |\n| *duty* | x |\n") == {"dead", "letter", "duty"}
