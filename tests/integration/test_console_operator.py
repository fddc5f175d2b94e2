"""The pages of who operates the server: packs that are activated, tokens given and withdrawn, channels tried."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from consumers.audit import anchors
from consumers.audit.chainer import Chainer
from consumers.performance import consume
from engine.clock import now_ms
from engine.console.pages import packs
from engine.packs import check_folder, folder_of
from engine.store import audit, people, verifications
from engine.store.audit import Act
from engine.views.channel_desk import ChannelDesk
from gridpatrol.run.channel_probe import FileProbe
from tests.integration.test_channel_command import webhook
from tests.integration.test_console import (
    FILE,
    HTML,
    TOKENS,
    Browser,
    browser,
    close_browsers,
    get,
    send,
)
from tests.integration.test_door import report
from tests.integration.test_reading import OURS
from tests.support.builders import OPERATOR
from tests.support.receivers import HttpReceiver, http_receiver
from tests.support.serving import Served, prepared, served, tell, wait_until
from tests.support.settings_files import put_file
from workflows.policy import model

__all__ = ["close_browsers"]
PAGES = ("/health", "/packs", "/tokens", "/channels", "/audit", "/whatif")


@pytest.fixture(scope="module")
def receiver() -> Iterator[HttpReceiver]:
    """The other side of a channel."""
    with http_receiver() as found:
        yield found


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, receiver: HttpReceiver) -> Iterator[Served]:
    """A door that asks for tokens, with a channel."""
    folder = tmp_path_factory.mktemp("operator")
    file = put_file(folder / "principals.toml", FILE)
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}", principals=str(file)) as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        tell(engine, report(OURS, now_ms()), now_ms())  # its time is the present
        with served(engine, channels=FileProbe(str(webhook(folder, receiver)))) as running:
            yield running


def audited(door: Served, act: Act) -> list[str]:
    """The objects of acts that the audit has, the latest first."""
    with door.engine.database.read() as connection:
        return [row.object for row in audit.listed(connection, act=act)]


def files_of(**changed: str) -> dict[str, bytes]:
    """The files of the sample pack, some of them changed: what is between the slashes becomes what is behind."""
    found = {path.name: path.read_bytes() for path in folder_of("weiyang").iterdir() if path.suffix != ".md"}
    for stem, change in changed.items():
        (name,) = [each for each in found if each.startswith(f"{stem}.")]
        old, _, new = change.partition(" => ")
        assert old.encode() in found[name], (name, old)
        found[name] = found[name].replace(old.encode(), new.encode())
    return found


def zipped(files: dict[str, bytes]) -> bytes:
    """The files as a zip file, in a folder of it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(f"weiyang/{name}", body)
    return out.getvalue()


def upload(client: Browser, files: list[tuple[str, bytes]], mark: str | None = None) -> httpx.Response:
    """Send files by the form of the page."""
    if mark is None:
        mark = get(client, "/packs").form("/packs")["mark"]
    return client.post("/packs", data={"mark": mark}, files=[("files", each) for each in files], headers=HTML)


# ---- packs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["files", "zip"])
def test_a_pack_is_checked_and_told_in_words_and_stored_only_when_it_is_activated(door: Served, form: str) -> None:
    title = f"西安市未央区 {form}"
    with browser(door, "ops") as client:
        assert len(re.findall(r"<strong>现行</strong>", get(client, "/packs").text)) == 1
        files = files_of(pack=f'title_zh = "{title_of()}" => title_zh = "{title}"')
        sent = [("pack.zip", zipped(files))] if form == "zip" else list(files.items())
        answer = upload(client, sent)
        assert answer.status_code == 200 and f"改为 {title} " in answer.text, answer.text[-3000:]
        digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', answer.text)[0]
        assert digest not in get(client, "/packs").text, "what was checked is not stored"
        mark = re.findall(r'name="mark" value="([^"]+)"', answer.text)[0]
        activated = send(client, "/packs/activations", {"mark": mark, "digest": digest})
        assert activated.status_code == 303
        page = get(client, activated.headers["location"]).text
        assert f"已启用 {digest[:12]}" in page and title in page
        assert audited(door, Act.PACK_ACTIVATED)[0] == digest
        again = upload(client, sent)
        assert "这就是现行策略包" in again.text and 'name="digest"' not in again.text


def title_of() -> str:
    """The Chinese title of the sample pack."""
    text = (folder_of("weiyang") / "pack.toml").read_text(encoding="utf-8")
    return re.findall(r'^title_zh = "([^"]+)"', text, re.M)[0]


def test_a_pack_with_errors_is_told_row_by_row_and_cannot_be_activated(door: Served) -> None:
    with browser(door, "ops") as client:
        answer = upload(client, list(files_of(posts="XA-OFFICE, => XA-CHIEF,").items()))
        assert answer.status_code == 422 and "不能启用" in answer.text and "posts.csv:" in answer.text
        assert 'name="digest"' not in answer.text


def test_what_is_no_pack_is_refused(door: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with browser(door, "ops") as client:
        assert upload(client, [("pack.zip", b"no zip")]).status_code == 400
        assert upload(client, [("../../etc/cron.csv", b"x")]).status_code == 422
        assert upload(client, [("pack.toml", b"code = 1")], mark="0" * 80).status_code == 403
        plain = send(client, "/packs", {"mark": get(client, "/packs").form("/packs")["mark"]})
        assert plain.status_code == 400
        monkeypatch.setattr(packs, "MAX_BYTES", 100)
        assert upload(client, [("pack.zip", zipped(files_of()))]).status_code == 413
        mark = get(client, "/packs").form("/packs")["mark"]
        lost = send(client, "/packs/activations", {"mark": mark, "digest": "0" * 64})
        assert lost.status_code == 409 and "upload it again" in lost.text


def test_a_pack_that_was_checked_for_one_is_none_of_another() -> None:
    kept, (pack, _) = packs.CheckedPacks(), check_folder("weiyang")
    assert pack is not None
    kept.keep("one", pack)
    digest = model.digest(pack)
    assert kept.of("one", digest) == pack and kept.of("two", digest) is None and kept.of("one", "x") is None
    for number in range(packs.KEPT):
        kept.keep(f"later {number}", pack)
    assert kept.of("one", digest) is None


# ---- tokens -------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_signs_in_and_ends_when_it_is_withdrawn(door: Served) -> None:
    with browser(door, "ops") as client, browser(door) as person:
        form = get(client, "/tokens").form("/tokens")
        answer = send(client, "/tokens", form | {"post": "WY03-CHIEF", "days": "30"})
        assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
        (token,) = re.findall(r"gp_[\w-]{20,}", answer.text)
        assert token not in get(client, "/tokens").text and "WY03-CHIEF" in get(client, "/tokens").text
        assert send(person, "/sign-in", {"token": token}).status_code == 303 or known_later(person, token)
        second = send(client, "/tokens", form | {"post": "WY03-CHIEF", "days": "30"})
        assert second.status_code == 400 and "没有发放" in second.text and "gp_" not in second.text
        unknown = send(client, "/tokens", form | {"post": "NOBODY"})
        assert unknown.status_code == 400 and 'value="NOBODY"' in unknown.text
        page = get(client, "/tokens")
        rotated = send(
            client, "/tokens/WY03-CHIEF/rotations", page.form("/tokens/WY03-CHIEF/rotations", at_once="true")
        )
        (newer,) = re.findall(r"gp_[\w-]{20,}", rotated.text)
        assert newer != token
        ended = send(client, "/tokens/WY03-CHIEF/withdrawals", page.form("/tokens/WY03-CHIEF/withdrawals"))
        assert ended.headers["location"] == "/tokens?withdrawn=WY03-CHIEF"
        assert "已收回 WY03-CHIEF" in get(client, ended.headers["location"]).text
        with door.engine.database.read() as connection:
            assert not people.of_post(connection, "WY03-CHIEF", now_ms())
        assert "已收回" in get(client, "/tokens?ended=true").text
        assert audited(door, Act.PRINCIPAL_ADDED) == ["post:WY03-CHIEF"]


def known_later(person: Browser, token: str) -> bool:
    """Whether a token signs in once the door has heard of it, within two seconds."""
    return bool(wait_until(lambda: send(person, "/sign-in", {"token": token}).status_code == 303))


def test_systems_are_listed_without_their_tokens(door: Served) -> None:
    with browser(door, "ops") as client:
        text = get(client, "/tokens").text
        assert all(name in text for name in TOKENS) and "gp_" not in text and "sha256" not in text


# ---- channels and health ------------------------------------------------------------------------------------


def test_a_channel_is_listed_and_tried_and_no_secret_is_shown(door: Served, receiver: HttpReceiver) -> None:
    receiver.answer = (200, {}, b"")
    with browser(door, "ops") as client:
        page = get(client, "/channels")
        assert "hook" in page.text and "hush" not in page.text and "webhook" in page.text
        form = page.form("/channels/hook/tests")
        answer = send(client, "/channels/hook/tests", form)
        assert answer.status_code == 200 and "测试消息已送达 hook" in answer.text
        assert b"test" in receiver.next().body
        receiver.answer = (429, {}, b"no")
        assert "没有送达 hook" in send(client, "/channels/hook/tests", form).text
        assert send(client, "/channels/none/tests", form).status_code == 400
        retried = send(client, "/channels/hook/retries", form)
        assert retried.headers["location"] == "/channels?retried=0"
        assert "重新发送 0 条" in get(client, retried.headers["location"]).text
        assert audited(door, Act.CHANNEL_RETRIED) == ["hook"]


def test_a_file_of_channels_that_cannot_be_used_is_told(sqlite_url: str, tmp_path: Path) -> None:
    file = put_file(tmp_path / "channels.toml", "[channel.hook]\nkind = 'wecom'\n")
    with prepared(sqlite_url) as engine, served(engine, channels=FileProbe(str(file))) as running:
        client = browser(running)
        answer = get(client, "/channels")
        assert "渠道文件不能用" in answer.text and "channel.hook.url" in answer.text


def test_without_channels_the_page_says_so() -> None:
    assert FileProbe("").known() == ()
    empty = ChannelDesk(lines=[], failed=[], as_of="", zone="")
    assert (empty.stuck, empty.waiting) == (0, 0)


def test_health_names_the_last_backup(door: Served) -> None:
    with browser(door, "ops") as client:
        assert "还没有用 gridpatrol backup 做过备份" in get(client, "/health").text
        with door.engine.database.begin() as connection:
            audit.write(connection, OPERATOR, Act.BACKUP_MADE, "/var/backups/one.db")
        text = get(client, "/health").text
        assert "/var/backups/one.db" in text and "最近一次由" in text


def test_health_and_audit_name_the_last_verification_and_the_chains(door: Served) -> None:
    Chainer(door.engine.database).catch_up()
    with browser(door, "ops") as client:
        for path in ("/health", "/audit"):
            assert get(client, path).text.count("还没有运行过") == 2
        page = get(client, "/audit").text
        assert "条链，还没有核对过" in page and "审计记录" in page and "还没有锚点" in page
        with door.engine.database.begin() as connection:
            at = now_ms()
            verifications.write(connection, "gridpatrol verify", "local:clerk", at, at, {})
            verifications.write(connection, "gridpatrol audit verify --anchor", "local:clerk", at, at, {"step": 1})
            anchors.make(connection, at)
        for path in ("/health", "/audit"):
            text = get(client, path).text
            assert "还没有运行过" not in text and "1 处出入" in text and "local:clerk" in text
            assert "gridpatrol audit verify --anchor" in text
        assert "第 1 号" in get(client, "/audit").text and "1 findings" in get(client, "/audit?lang=en").text


def test_only_operators_see_these_pages_and_their_acts(door: Served) -> None:
    with browser(door, "chief") as client:
        for path in PAGES:
            assert client.get(path, headers=HTML).status_code == 403, path
        mark = get(client, "/desk").form("/sign-out")["mark"]
        for path in ("/tokens", "/packs/activations", "/channels/hook/tests", "/tokens/WY-CHIEF/withdrawals"):
            assert send(client, path, {"mark": mark, "post": "WY-CHIEF"}).status_code == 403, path
        assert upload(client, [("pack.toml", b"")], mark=mark).status_code == 403
    with browser(door, "ops") as operator:
        for path in PAGES:
            page = get(operator, f"{path}?lang=en")
            assert not page.inline
            assert not re.findall("策略包|令牌|渠道|备份", re.sub(r"<[^>]*>", " ", page.text).partition("Pages")[2]), (
                path
            )
