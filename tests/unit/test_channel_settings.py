"""The file of channels: what it says, what is refused in it and how, and that no secret is ever shown."""

from __future__ import annotations

import re

import pytest

from consumers.channels.settings import PER_MINUTE, Secret, read_channels
from engine.errors import SettingsError
from tests.support.channel_feed import SECRET, channel_file

WHOLE = """
    base_url = "https://grid.example/"
    language = "zh+en"

    [channel.hook]
    kind = "webhook"
    url = "https://hook.example/x"
    secret_file = "secret"

    [channel.robot]
    kind = "dingtalk"
    url_env = "ROBOT_URL"
    language = "en"

    [channel.mail]
    kind = "smtp"
    host = "smtp.example"
    from = "grid@city.example"
    to = { WY03-CHIEF = ["a@city.example", "b@city.example"], XA-CHIEF = "c@city.example" }

    [channel.sms]
    kind = "http"
    url = "https://sms.example/{to}"
    body = '{"text": "{subject}"}'
    to = "+86"

    [[route]]
    channels = ["hook", "robot"]
    severities = ["overdue"]
    digest = true

    [[route]]
    name = "work"
    channels = ["mail", "sms"]
    moves = ["assigned"]
    quiet = "22:30-06:00"
    """
ROBOT = {"ROBOT_URL": "https://oapi.dingtalk.com/robot/send?access_token=hush"}


def test_a_file_says_where_channels_lead_and_what_goes_there(tmp_path):
    file = channel_file(tmp_path, WHOLE)
    found = read_channels(str(file), ROBOT)
    assert list(found.channels) == ["hook", "robot", "mail", "sms"]
    hook, robot, mail, sms = found.channels.values()
    assert (hook.where, hook.secret.reveal(), hook.language) == ("hook.example", SECRET, "zh+en")
    assert (robot.where, robot.language, robot.per_minute) == ("oapi.dingtalk.com", "en", PER_MINUTE["dingtalk"])
    assert (mail.where, mail.to["XA-CHIEF"]) == ("smtp.example:587", ("c@city.example",))
    assert sms.everyone == ("+86",)
    late, work = found.routes
    assert (late.name, late.kinds, late.digest_at, late.quiet) == ("route 1", ("alert",), (510, 1020), None)
    assert (work.name, work.kinds, work.quiet) == ("work", ("notice",), (1350, 360))
    assert found.base_url == "https://grid.example" and found.remarks == ()
    assert found.files == (str(file), str(tmp_path / "secret"))


def test_no_secret_is_shown(tmp_path):
    found = read_channels(str(channel_file(tmp_path, WHOLE)), ROBOT)
    assert "hush" not in repr(found) and SECRET not in repr(found)
    assert Secret("a") == Secret("a") != Secret("b") and not Secret()


HOOK = '[channel.hook]\nkind = "webhook"\nurl = "https://x.example"\nsecret_file = "secret"\n'


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("x = 1", "x", "the file holds [channel.NAME], [[route]] and base_url"),
        ("[channel.hook]\nkind = 'pigeon'", "kind", "Invalid enum value"),
        ("[channel.Hook]\nkind = 'wecom'", "channel.Hook", "a name of small letters"),
        ("[channel.a]\nkind = 'wecom'\nkey = 'hush'", "channel.a", "unknown field `key`"),
        ("[channel.a]\nkind = 'wecom'\nurl = 'https://x/?key=hush'", "channel.a.url", "has its key in it"),
        ("[channel.a]\nkind = 'wecom'", "channel.a.url", "where it leads"),
        ("[channel.a]\nkind = 'wecom'\nurl_env = 'NO'", "channel.a.url_env", "a variable that is set"),
        ("[channel.a]\nkind = 'wecom'\nurl_file = 'no'", "channel.a.url_file", "cannot be read"),
        ("[channel.a]\nkind = 'wecom'\nurl_file = 'secret'", "channel.a.url", "http:// or https://"),
        ("[channel.a]\nkind = 'wecom'\nurl_file = 'x'\nurl_env = 'Y'", "channel.a.url_file", "not both"),
        ("[channel.a]\nkind = 'webhook'\nurl = 'https://x'", "channel.a.secret_file", "whsec_"),
        ("[channel.a]\nkind = 'webhook'\nurl = 'https://u:hush@x'", "channel.a.url", "without a user"),
        ("[channel.a]\nkind = 'http'\nurl = 'https://x/题'", "channel.a.url", "http:// or https://"),
        ("[channel.a]\nkind = 'http'\nurl = 'https://x'\nheaders = {'a b' = 'x'}", "channel.a.headers", "names of"),
        ("[channel.a]\nkind = 'smtp'\nhost = 'h'\nfrom = 'a@b'\nto = '题@b'", "channel.a.to", "in ASCII"),
        (HOOK + "body = 'x'", "channel.hook.body", "this kind does not take it"),
        (HOOK + "tries = 0", "channel.hook.tries", "from 1 to 100"),
        (HOOK + "language = 'fr'", "channel.hook.language", "one of zh"),
        (HOOK + "ca = 'no.pem'", "channel.hook.ca", "a PEM file that is there"),
        ("[channel.a]\nkind = 'smtp'\nfrom = 'a@b'\nto = 'c@d'", "channel.a.host", "mail server"),
        ("[channel.a]\nkind = 'smtp'\nhost = 'h'\nto = 'c@d'", "channel.a.from", "come from"),
        ("[channel.a]\nkind = 'smtp'\nhost = 'h'\nfrom = 'a@b'", "channel.a.to", "an address"),
        ("[channel.a]\nkind = 'smtp'\nhost = 'h'\nfrom = 'a@b'\nto = {X='hush'}", "channel.a.to.X", "with an @"),
        (
            "[channel.a]\nkind = 'smtp'\nhost = 'h'\nfrom = 'a@b'\nto = 'c@d'\nuser = 'u'",
            "channel.a.user",
            "a password",
        ),
        ("[channel.a]\nkind = 'http'\nurl = 'https://x'\nbody = '{phone}'", "channel.a.body", "in braces only {to}"),
        ("[channel.a]\nkind = 'http'\nurl = 'https://x'\nto = {X=['1', '2']}", "channel.a.to.X", "one address"),
        (HOOK + "[[route]]\nchannels = ['hoook']", "route 1.channels", "of hook"),
        (HOOK + "[[route]]\nchannels = []", "route 1.channels", "at least one"),
        (HOOK + "[[route]]\nchannels = ['hook']\nseverities = ['bad']", "route 1.severities", "of soon, due, overdue"),
        (HOOK + "[[route]]\nchannels = ['hook']\nmoves = ['gone']", "route 1.moves", "of returned"),
        (HOOK + "[[route]]\nchannels = ['hook']\ndigest_at = ['8:30']", "route 1.digest_at", "such as 08:30"),
        (HOOK + "[[route]]\nchannels = ['hook']\nquiet = '22:00'", "route 1.quiet", "22:00-07:00"),
        (HOOK + "[[route]]\nchannels = ['hook']\nwhen = 'now'", "route 1", "unknown field `when`"),
        ("base_url = 'grid.example'", "base_url", "http:// or https://"),
        ("keep_days = 0", "keep_days", "from 1 to"),
        ("[channel", "channels.toml", ""),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_no_value_of_a_secret(tmp_path, text, field, says):
    with pytest.raises(SettingsError) as refused:
        read_channels(str(channel_file(tmp_path, text)), {})
    assert field in str(refused.value) and says in str(refused.value)
    assert "hush" not in str(refused.value) and SECRET not in str(refused.value)


@pytest.mark.parametrize("name", ["channels.toml", "secret"])
def test_a_file_that_everyone_may_write_is_refused(tmp_path, name):
    file = channel_file(tmp_path, HOOK)
    (tmp_path / name).chmod(0o666)
    with pytest.raises(SettingsError, match=re.escape(f"chmod o-w {tmp_path / name}")):
        read_channels(str(file), {})


def test_what_works_and_may_surprise_is_said(tmp_path):
    file = channel_file(tmp_path, HOOK.replace("https:", "http:"))
    (tmp_path / "secret").chmod(0o644)
    remarks = "\n".join(read_channels(str(file), {}).remarks)
    for said in ("everyone may read", "travels in plain", "no route leads to it"):
        assert said in remarks


def test_no_file_is_an_error_with_its_name(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_channels(str(tmp_path / "no.toml"), {})
