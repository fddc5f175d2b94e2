"""Settings: each default written once; file, then environment, then flags; a value that cannot work is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsError
from engine.settings import Settings, read_settings
from schemas.envelope import MAX_EVENT_BYTES

NOWHERE = Path("there-is-no-such-file.toml")


def test_without_anything_said_the_defaults_count():
    settings = read_settings({}, {}, NOWHERE)
    assert settings == Settings()
    assert settings.listen == "127.0.0.1:8420"
    assert settings.database == "sqlite:///var/gridpatrol.db"


def test_the_environment_beats_the_file_and_a_flag_beats_both(tmp_path):
    file = tmp_path / "gridpatrol.toml"
    file.write_text('pack = "boston311"\npartitions = 4\nlisten = "127.0.0.1:1"\n', encoding="utf-8")
    environ = {"GRIDPATROL_PARTITIONS": "8", "GRIDPATROL_LISTEN": "127.0.0.1:2"}
    settings = read_settings({"listen": "127.0.0.1:3", "database": None}, environ, file)
    assert (settings.pack, settings.partitions, settings.listen) == ("boston311", 8, "127.0.0.1:3")
    assert settings.database == Settings().database


def test_a_password_for_a_server_does_not_hinder_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("geheim\n", encoding="utf-8")
    environ = {"GRIDPATROL_DATABASE_PASSWORD_FILE": str(file)}
    assert read_settings({"database": "sqlite:///old.db"}, environ, NOWHERE).database == "sqlite:///old.db"
    on_server = read_settings({"database": "postgresql://user@host/db"}, environ, NOWHERE).database
    assert on_server == "postgresql://user:geheim@host/db"
    with pytest.raises(SettingsError, match="with a user"):
        read_settings({"database": "postgresql://host/db"}, environ, NOWHERE)


def test_an_empty_variable_says_nothing():
    assert read_settings({}, {"GRIDPATROL_PACK": ""}, NOWHERE).pack == Settings().pack


def test_a_variable_of_another_name_is_nobodys_setting():
    assert read_settings({}, {"GRIDPATROL_TEST_POSTGRES": "postgresql://host/"}, NOWHERE) == Settings()


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ({"listen": "0.0.0.0:8420"}, "0.0.0.0:8420"),  # this door asks for no password
        ({"listen": "8420"}, "8420"),
        ({"listen": "127.0.0.1:http"}, "127.0.0.1:http"),
        ({"listen": "127.0.0.1:70000"}, "127.0.0.1:70000"),
        ({"partitions": 0}, "0"),
        ({"slice_records": -5}, "-5"),
        ({"partitions": "many"}, "partitions"),
        ({"log_format": "xml"}, "xml"),
        ({"tls_key": "door.key"}, "tls_cert"),
        ({"kafka": "localhost"}, "localhost"),
        ({"kafka": "broker-1:9092,broker-2:plain"}, "broker-2:plain"),
        ({"kafka": "broker-1:9092,"}, "host:port"),
        ({"event_bytes": MAX_EVENT_BYTES + 1}, str(MAX_EVENT_BYTES)),
        ({"event_bytes": 0}, str(MAX_EVENT_BYTES)),
    ],
)
def test_a_value_that_cannot_work_is_refused_and_shown(flags, shown):
    with pytest.raises(SettingsError, match=shown.replace(".", r"\.")):
        read_settings(flags, {}, NOWHERE)


@pytest.mark.parametrize(
    "flags",
    [
        {"principals": "who.toml"},  # the door asks for a token
        {"role": "worker", "kafka": "127.0.0.1:9092"},  # there is no door
    ],
)
def test_who_asks_for_tokens_or_has_no_door_may_listen_to_other_machines(flags):
    assert read_settings({"listen": "0.0.0.0:8420"} | flags, {}, NOWHERE).listen == "0.0.0.0:8420"
    with pytest.raises(SettingsError, match="host:port"):
        read_settings({"listen": ":8420"} | flags, {}, NOWHERE)


def test_a_gateway_without_principals_stays_on_loopback():
    with pytest.raises(SettingsError, match="principals"):
        read_settings({"listen": "0.0.0.0:8420", "role": "gateway", "kafka": "127.0.0.1:9092"}, {}, NOWHERE)


def test_a_misspelled_setting_in_the_file_is_refused(tmp_path):
    file = tmp_path / "gridpatrol.toml"
    file.write_text("partition = 4\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="partition"):
        read_settings({}, {}, file)


def test_a_file_that_is_no_toml_is_named(tmp_path):
    file = tmp_path / "gridpatrol.toml"
    file.write_text("partitions: 4\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"gridpatrol\.toml"):
        read_settings({}, {}, file)
