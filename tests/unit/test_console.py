"""The words, forms, bars and maps of the console: what a page is made of before anybody asks for it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from string import Formatter
from typing import Any

import msgspec
import pytest
from jinja2 import nodes

from engine.console import map_svg
from engine.console.bars import bars_of
from engine.console.catalogue import WORDS
from engine.console.formatting import Words, instant
from engine.console.forms import act_words, data_of, form_for, local_instant
from engine.console.rendering import environment, inside, query
from engine.console.static_files import address_of, static_files
from engine.views.deadlines import Ledger
from engine.views.health import Health
from engine.views.names import Names
from lab.vendored import STATIC, pins
from schemas.events import EVENTS, OLDER_NAMES
from schemas.refusals import Reason
from schemas.value_words import WORDS as VALUES
from tests.support.builders import at, weiyang
from tests.support.source_files import ROOT
from workflows.clocks.limits import HOUR_MS
from workflows.definitions import DEFINITIONS

ROOM = ROOT / "engine" / "console"
TEMPLATES = sorted((ROOM / "templates").glob("*.html"))
LEFT_TO_PROGRAMS = (Reason.UNKNOWN_TYPE, Reason.UNKNOWN_VERSION, Reason.ENGINE_ONLY)
"""Reasons that no form of a page can meet."""
CHINESE = re.compile("[\u4e00-\u9fff]")


def keys_in(path: Path) -> set[str]:
    """The words that a template names, by `t.key`, `t("key")` or `t["key"]`; a part of a key stands for all of it."""
    found, named = set[str](), (nodes.Getattr, nodes.Call, nodes.Getitem)
    node: Any
    for node in environment().parse(path.read_text(encoding="utf-8")).find_all(named):
        if not (isinstance(node.node, nodes.Name) and node.node.name == "t"):
            continue
        if isinstance(node, nodes.Getattr):
            found.add(node.attr)
        else:
            first = node.args[0] if isinstance(node, nodes.Call) else node.arg
            compared = {id(each) for test in first.find_all(nodes.Compare) for each in test.find_all(nodes.Const)}
            parts = [each for each in [first, *first.find_all(nodes.Const)] if isinstance(each, nodes.Const)]
            found |= {each.value for each in parts if id(each) not in compared}
    return {key for key in found if isinstance(key, str)}


def test_every_word_that_a_page_names_is_there_and_every_word_is_named() -> None:
    named = set[str]().union(*map(keys_in, TEMPLATES))
    methods = {name for name in dir(Words) if not name.startswith("_")} | {"language"}
    families = tuple(key for key in named if key.endswith("_") and any(each.startswith(key) for each in WORDS))
    whole = named - methods - set(families)
    assert not whole - WORDS.keys(), sorted(whole - WORDS.keys())
    code = "".join(
        path.read_text(encoding="utf-8") for path in ROOM.rglob("*.py") if not path.name.startswith("catalogue")
    )
    templates = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    idle = [key for key in WORDS if key not in whole and not key.startswith((*families, "member_", "because_"))]
    assert not [key for key in idle if f"'{key}'" not in templates and f'"{key}"' not in code]


def test_each_word_says_the_same_in_both_languages() -> None:
    for key, (zh, en) in WORDS.items():
        fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (zh, en)]
        assert fields[0] == fields[1] and zh and en, key
        assert not CHINESE.search(en.replace("4工作时", "").replace("3工作日", "")) or key == "language_switch", key


def test_what_is_filled_in_is_escaped_and_an_unknown_word_is_an_error() -> None:
    said = Words("zh")
    assert said("find_first", text="<b>", n=0) == "“&lt;b&gt;”：0 件"
    with pytest.raises(KeyError):
        said("no_such_word")
    with pytest.raises(AttributeError):
        _ = said.no_such_word


def test_no_template_runs_or_styles_anything_of_its_own() -> None:
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*src=)|javascript:|\|\s*safe|http://|https://", text
        )


BIRTHS = {birth for kind in DEFINITIONS.values() for birth in kind.births}


@pytest.mark.parametrize("trigger", sorted(EVENTS.keys() - OLDER_NAMES.keys() - BIRTHS))
def test_every_act_has_words_and_a_form_or_is_left_to_the_phone(trigger: str) -> None:
    form, (zh, en) = form_for(trigger), act_words(trigger)
    assert CHINESE.search(zh) and en and not CHINESE.search(en)
    for field in form.fields:
        assert f"member_{field.name}" in WORDS or field.shape in ("code", "instant"), field
        assert all(value in VALUES or value == zh for value, zh, _ in field.choices), field
    assert form.whole == all(name in {field.name for field in form.fields} for name in needed_by(trigger))


def needed_by(trigger: str) -> list[str]:
    """The members that an event cannot be without."""
    return [f.encode_name for f in msgspec.structs.fields(EVENTS[trigger].data) if f.required]


def test_the_fields_of_a_form_become_the_data_of_an_event() -> None:
    names = Names(weiyang())
    trigger = next(name for name, event in EVENTS.items() if event.zh == "延期/督办")
    sent = {"clock": "total", "due": "2026-03-02T18:00", "limit": " ", "note": "x", "elsewhere": "y"}
    assert data_of(form_for(trigger), sent, names) == {
        "clock": "total",
        "due": "2026-03-02T18:00:00+08:00",
        "note": "x",
    }
    assert local_instant("tomorrow", names) == "tomorrow"
    assert local_instant("2026-03-02T18:00:00Z", names) == "2026-03-02T18:00:00Z"
    stage = next(form_for(name) for name, event in EVENTS.items() if event.zh == "整改完成")
    assert data_of(stage, {"stage": "2"}, names) == {"stage": 2}
    assert data_of(stage, {"stage": "two"}, names) == {"stage": "two"}  # the contract refuses it, by its name


def test_a_bar_has_what_ran_what_was_over_time_and_no_pause() -> None:
    begin = at("03-02 09:00")
    ledger = Ledger("total", 0, 0, "work", begin, "4工作时", begin + 4 * HOUR_MS, begin)
    ledger.pauses.append((begin + HOUR_MS, begin + 2 * HOUR_MS))
    bars = bars_of([ledger], weiyang().clock_of_days, begin + 10 * HOUR_MS, None)
    assert bars is not None and (bars.begin, bars.end) == (begin, begin + 10 * HOUR_MS)
    (bar,) = bars.bars
    assert [(each.x, each.width) for each in bar.runs] == [(0, 100), (200, 800)]
    assert [(each.x, each.width) for each in bar.late] == [(400, 600)] and bar.due == 400
    assert bars.working and bars.now == 1000
    assert bars_of([], None, begin, None) is None
    ledger.judged, ledger.result = begin + 3 * HOUR_MS, "on_time"
    ended = bars_of([ledger], None, begin + 10 * HOUR_MS, begin + 5 * HOUR_MS)
    assert ended is not None and ended.now is None and not ended.bars[0].late and not ended.working


def test_a_map_has_each_grid_once_within_its_field() -> None:
    register = weiyang()
    drawn = map_svg.map_of(register, ("WY01", "WY02", "gone"))
    assert drawn is not None and [area.code for area in drawn.areas] == ["WY01", "WY02"]
    for area in drawn.areas:
        assert area.outline.startswith("M") and area.outline.endswith("Z")
        assert 0 < area.x < drawn.projection.width and 0 < area.y < drawn.projection.height
    assert map_svg.map_of(register, ()) is None


@pytest.mark.parametrize(
    ("there", "goes"),
    [
        ("/desk?x=1", "/desk?x=1"),
        ("//e", "/desk"),
        ("/\\e", "/desk"),
        ("http://e", "/desk"),
        ("/a\nb", "/desk"),
        ("", "/desk"),
    ],
)
def test_a_page_leads_on_within_the_server_only(there: str, goes: str) -> None:
    assert inside(there) == goes


def test_addresses_leave_out_what_is_empty() -> None:
    assert query("/desk", office="", overdue="true", lang=None) == "/desk?overdue=true"
    assert query("/desk") == "/desk"


def test_an_instant_has_its_year_where_that_is_another_one() -> None:
    there = "2026-03-02T09:00:00+08:00"
    assert ">03-02 09:00<" in instant(there, "2026-12-01T00:00:00+08:00")
    assert ">2026-03-02 09:00<" in instant(there, "2027-01-01T00:00:00+08:00")
    assert instant(None) == ""


def test_files_are_as_they_are_pinned_and_small() -> None:
    for pin in pins().values():
        for name, digest in pin["sha256"].items():
            assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest, name
        assert set(pin["files"].values()) == set(pin["sha256"]) and pin["licence"]
    assert sum(len(file.body) for file in static_files().values()) < 200_000
    assert re.fullmatch(r"/static/console\.[0-9a-f]{12}\.css", address_of("console.css"))
    script = (STATIC / "console.js").read_text(encoding="utf-8")
    assert not re.search(r"\beval\b|new Function|innerHTML|document\.write", script)


def test_health_counts_what_is_not_well() -> None:
    empty = Health(partitions=[], consumers=[], letters=[], counts=[], as_of="", zone="")
    assert (empty.halted, empty.waiting, empty.standing, empty.open_letters) == (0, 0, 0, 0)


def test_kinds_of_case_bring_the_words_of_their_states_and_clocks() -> None:
    said = Words("zh")
    for kind in DEFINITIONS.values():
        for state in kind.states.values():
            assert CHINESE.search(said.state_of(state.zh, state.name))
        for clock in kind.clocks:
            assert CHINESE.search(said.of(clock)), clock


@pytest.mark.parametrize("reason", [each for each in Reason if each not in LEFT_TO_PROGRAMS])
def test_every_reason_of_a_refusal_is_said_in_both_languages(reason: Reason) -> None:
    assert Words("zh").because(reason) and Words("en").because(reason)
    assert Words("zh").because("no_such_reason") == ""
