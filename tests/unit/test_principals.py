"""Who may speak: the file and what is refused in it, patterns of posts, tokens, and a change while it is in use."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from engine import principals, watched_files
from engine.admission import admit, letter_id
from engine.errors import SettingsError
from engine.principals import LOCAL, Principal, Principals, digest_of, new_token
from schemas.refusals import Reason, Refusal
from tests.support.builders import DAY, HOTLINE, event
from tests.support.settings_files import put_file, read_at_once
from workflows.reading import EVERYTHING, Reads

ONE, TWO = new_token(), new_token()


def written(folder: Path, text: str) -> str:
    """A file of principals that nobody else can write."""
    file = folder / "principals.toml"
    return str(put_file(file, text, 0o644))


def read(folder: Path, text: str) -> Principals:
    return Principals(written(folder, text))


def test_without_a_file_nobody_is_asked_and_nobody_else_is_known():
    nobody = Principals("")
    assert not nobody.asked
    assert nobody.of_token(ONE) is None and nobody.named("local") is None and list(nobody) == []


def test_a_file_says_who_may_speak_for_whom_and_what_else_they_may(tmp_path):
    known = read(
        tmp_path,
        f"""
        [principal.hotline]
        actors = ["{HOTLINE}"]
        [principal.app]
        actors = ["WY??-*", "WY-12345"]
        tokens = ["{digest_of(ONE)}", "{digest_of(TWO)}"]
        [principal.supervision]
        reads = true
        [principal.ops]
        operator = true
        """,
    )
    assert known.asked
    assert [one.name for one in known] == ["hotline", "app", "supervision", "ops"]
    assert known.of_token(ONE) is known.of_token(TWO) is known.named("app")
    assert known.of_token("") is known.of_token(digest_of(ONE)) is None
    rights = {one.name: [right for right in ("actors", "reads", "operator") if one.has(right)] for one in known}
    assert rights == {"hotline": ["actors"], "app": ["actors"], "supervision": ["reads"], "ops": ["operator"]}


@pytest.mark.parametrize(
    ("actor", "may"),
    [
        ("WY-12345", True),
        ("WY01-CHIEF", True),
        ("WY01-", True),
        ("WY-12346", False),
        ("WY001-CHIEF", False),
        ("XWY01-CHIEF", False),  # the whole code, not a part of it
        ("wy01-chief", False),
        ("", False),
    ],
)
def test_a_code_is_spoken_for_as_written_and_a_pattern_as_a_shell_reads_it(actor, may):
    app = Principal("app", frozenset({"WY-12345"}), ("WY??-*",))
    assert app.may_speak(actor) is may
    assert LOCAL.may_speak(actor)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[principal.app]\nactor = []", r"principal\.app.*`actor`.*actors, tokens, reads, operator"),
        ("[principal.app]\nactors = 'WY'", r"principal\.app.*array.*\$\.actors"),
        ("[principal.app]\nreads = 'yes'", r'principal\.app\.reads is true, false, "own", or a list of grids'),
        ("[principal.app]\nreads = 7", r"principal\.app.*\$\.reads"),
        ("[principal.app]\nreads = ['WY 03']", r"principal\.app\.reads: 'WY 03'"),
        (
            "[principal.app.reads]\nincidents = true",
            r"principal\.app\.reads\.incidents: no such kind.*default, incident",
        ),
        ("[principal.app.reads]\nduty = 'WY03'", r"principal\.app\.reads\.duty is true, false"),
        ("[principal.app]\nactors = ['']", r"principal\.app\.actors: ''"),
        ("[principal.app]\nactors = ['a b']", r"principal\.app\.actors: 'a b'"),
        ("[principals.app]\nactors = []", r"principals: the file holds tables \[principal\.NAME\]"),
        ("principal = 3", r"principal: the file holds tables"),
        ("[principal]\napp = 3", r"principal\.app"),
        ("[principal.App]", r"principal\.App: 'App' is no name"),  # it would not fit into a topic's name
        ("[principal.local]", "choose another"),
        ("[principal.operator]", "choose another"),
        ("[principal.owner]", "choose another"),
        ("[principal.admin]", "choose another"),
        ("[principal.app", "principals.toml"),
    ],
)
def test_what_is_wrong_is_named_with_the_file_and_the_key(tmp_path, text, shown):
    with pytest.raises(SettingsError, match=shown) as raised:
        read(tmp_path, text)
    assert "principals.toml" in str(raised.value)


def test_a_token_in_clear_is_refused_and_not_shown(tmp_path):
    with pytest.raises(SettingsError, match=r"principal\.app\.tokens\[0\].*gridpatrol principal token app") as raised:
        read(tmp_path, f'[principal.app]\ntokens = ["{ONE}"]')
    assert ONE not in str(raised.value)


def test_a_token_belongs_to_one_principal(tmp_path):
    text = '[principal.app]\ntokens = ["{0}"]\n[principal.ops]\ntokens = ["{0}"]'.format(digest_of(ONE))
    with pytest.raises(SettingsError, match=r"principal\.ops\.tokens\[0\] is the same token as principal\.app"):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(SettingsError, match=r"no-such\.toml cannot be read"):
        Principals("no-such.toml")


def test_a_file_that_everybody_can_write_is_refused(tmp_path):
    file = written(tmp_path, "[principal.app]")
    os.chmod(file, 0o666)
    with pytest.raises(SettingsError, match="chmod o-w"):
        Principals(file)


def test_a_token_is_changed_without_a_restart_and_a_bad_change_changes_nothing(tmp_path, monkeypatch, caplog):
    read_at_once(monkeypatch)
    known = read(tmp_path, f'[principal.app]\ntokens = ["{digest_of(ONE)}"]')
    written(tmp_path, f'[principal.app]\ntokens = ["{digest_of(TWO)}"]\nreads = true')
    assert known.of_token(ONE) is None
    assert known.of_token(TWO) == Principal("app", reads=Reads(EVERYTHING))
    for bad in ("[principal.app", "[principal.app]\nnobody = 1"):
        written(tmp_path, bad)
        assert known.of_token(TWO) == known.of_token(TWO) == Principal("app", reads=Reads(EVERYTHING))
    (tmp_path / "principals.toml").unlink()
    assert known.named("app") == Principal("app", reads=Reads(EVERYTHING))
    assert [line.message for line in caplog.records if line.levelname == "ERROR"] == ["principals.kept"] * 3
    written(tmp_path, "[principal.other]")
    assert known.named("app") is known.of_token(TWO) is None


def test_the_file_is_looked_at_now_and_then_only(tmp_path, monkeypatch):
    monkeypatch.setattr(principals, "LOOK_S", 3600)
    known = read(tmp_path, "[principal.app]")
    written(tmp_path, "[principal.other]\nreads = true")
    assert known.named("app") is not None and known.named("other") is None


def test_every_token_is_another_and_has_256_bits():
    made = {new_token() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(token) for token in made} == {len("gp_") + 43}
    assert all(token.startswith("gp_") for token in made)


def test_a_forged_actor_is_refused_and_a_true_one_is_stamped_with_the_principal():
    raw = event_bytes(HOTLINE)
    refused = admit(raw, Principal("app", patterns=("WY??-*",)), 32)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.field) == (Reason.FORBIDDEN, "actor")
    assert "app" in refused.detail and HOTLINE not in refused.detail
    taken = admit(raw, Principal("hotline", frozenset({HOTLINE})), 32)
    assert not isinstance(taken, Refusal)
    assert taken[0].principal == "hotline"


def test_what_is_no_event_is_refused_as_that_whoever_sends_it():
    refused = admit(b"{", Principal("app"), 32)
    assert isinstance(refused, Refusal) and refused.reason is Reason.UNDECODABLE


def test_the_same_bytes_are_another_letter_from_another_principal():
    assert letter_id(b"{", "app") == letter_id(b"{", "app") != letter_id(b"{", "hotline")


def event_bytes(actor: str) -> bytes:
    return json.dumps(event("incident.accepted", actor, DAY)).encode()


def test_a_file_that_is_being_written_is_left_alone_until_it_holds_still(tmp_path, monkeypatch):
    """An editor empties a file before it fills it, and an empty list of principals would shut everybody out."""
    monkeypatch.setattr(principals, "LOOK_S", 0)
    monkeypatch.setattr(watched_files, "STILL_MS", 3600_000)
    known = read(tmp_path, f'[principal.app]\ntokens = ["{digest_of(ONE)}"]')
    file = Path(written(tmp_path, ""))
    assert known.of_token(ONE) is not None
    os.utime(file, ns=(0, time.time_ns() - 2 * 3600 * 10**9))
    assert known.of_token(ONE) is None
    written(tmp_path, "[principal.other]")
    os.utime(file, ns=(0, time.time_ns() + 2 * 3600 * 10**9))  # the clock of the disk is ahead: it is not waited for
    assert known.named("other") is not None
