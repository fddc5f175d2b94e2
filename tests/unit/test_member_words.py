"""The words, forms and scripts of the phone's pages, before anybody opens them."""

from __future__ import annotations

import re
from string import Formatter

from engine.console.member_words import MEMBER_WORDS, phone_forms, words_in
from engine.console.pages.member import PAGES, SCRIPTS, shell_in, worker_script
from engine.console.static_files import address_of
from lab.vendored import STATIC
from schemas.events import EVENTS, OLDER_NAMES
from tests.support.source_files import ROOT

OWN = [name for name in (*SCRIPTS, "member_worker.js") if name.startswith("member_")]
CHINESE = re.compile("[\u4e00-\u9fff]")


def texts() -> str:
    """The scripts and the shell as they are written."""
    shell = ROOT / "engine" / "console" / "templates" / "member.html"
    return "".join((STATIC / name).read_text(encoding="utf-8") for name in OWN) + shell.read_text(encoding="utf-8")


def test_every_word_that_the_pages_name_is_there_and_every_word_is_named() -> None:
    said = texts()
    named = set(re.findall(r'\bw\(\s*"([a-z_]+)"', said)) | set(re.findall(r"\bw\.([a-z_]+)", said))
    assert not named - MEMBER_WORDS.keys()
    assert not [key for key in MEMBER_WORDS.keys() - named - set(PAGES) if f'"{key}"' not in said]
    for given in re.findall(r'\bw\(\s*"([a-z_]+)",\s*\{([^}]*)\}', said):
        fields = {name for _, name, _, _ in Formatter().parse(MEMBER_WORDS[given[0]][0]) if name}
        assert fields <= set(re.findall(r"\b([a-z]+)\b", given[1])), given


def test_each_word_says_the_same_in_both_languages() -> None:
    for key, (zh, en) in MEMBER_WORDS.items():
        fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (zh, en)]
        assert fields[0] == fields[1] and zh and en, key
        assert key in ("language_switch", "limit_hint") or not CHINESE.search(en), key
    assert words_in("zh").keys() == words_in("en").keys()


def test_a_phone_has_a_form_for_all_that_may_be_said_and_photos_where_an_event_takes_them() -> None:
    forms = phone_forms()
    assert forms.keys() == EVENTS.keys() - OLDER_NAMES.keys()
    assert forms["case.evidence_added"]["photos"] == "needed" and forms["case.evidence_added"]["whole"]
    assert forms["verification.recorded"]["photos"] == "offered" and not forms["case.urged"]["photos"]
    assert [each["name"] for each in forms["verification.recorded"]["fields"]] == ["outcome", "note"]
    assert {each["name"] for each in forms["report.submitted"]["fields"]} == {"category", "grid", "description"}


def test_the_scripts_run_nothing_that_is_not_their_own_and_reach_nobody_else() -> None:
    said = texts()
    banned = r"\beval\b|new Function|innerHTML|outerHTML|document\.write|insertAdjacentHTML|\.style\b"
    assert not re.search(banned, said)
    assert set(re.findall(r"https?://[^\"' ]+", said)) == {"http://www.w3.org/2000/svg"}


def test_another_release_is_another_worker() -> None:
    text = worker_script().decode()
    assert all(address_of(name) in text for name in SCRIPTS) and text.startswith('const VERSION = "')
    assert shell_in("zh") != shell_in("en") and b"/m/today" in shell_in("zh")
