"""The robots of group chats: 企业微信, 钉钉 and 飞书. Each has its own form, signature, limit and codes.

All of them answer 200 with a code inside: a message counts as sent when that code is 0. Sources, and what could not be
verified, stand in docs/channels.md.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from consumers.channels import signatures
from consumers.channels.http_request import Answer, ask
from consumers.channels.message import Message, fitted, in_language
from consumers.channels.outcome import Outcome, of_status
from consumers.channels.settings import Channel


class Robot(NamedTuple):
    """`code`: the member of the answer that says what came of it, `text`: the one that says it in words; `most_bytes`
    of a message's text; `busy`: codes that say that there were too many, and for how many seconds it is silent then;
    `known`: what other codes mean."""

    code: str
    text: str
    most_bytes: int
    busy: dict[int, float]
    known: dict[int, str]
    request: Callable[[Channel, Message, int, int], tuple[str, dict[str, Any]]]


def send(channel: Channel, message: Message, now_ms: int) -> Outcome:
    """POST it as the robot's vendor says."""
    robot = ROBOTS[channel.kind]
    url, body = robot.request(channel, message, now_ms, robot.most_bytes)
    answer = ask(
        "POST",
        url,
        {"Content-Type": "application/json; charset=utf-8"},
        msgspec.json.encode(body),
        private=channel.private,
        ca=channel.ca,
        timeout_s=channel.timeout_s,
    )
    return outcome_of(robot, answer, now_ms)


def outcome_of(robot: Robot, answer: Answer, now_ms: int) -> Outcome:
    """What the code inside an answer means; without one, what the status does."""
    try:
        said = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        said = {}
    code = said.get(robot.code, said.get("StatusCode"))
    if not isinstance(code, int):
        plain = of_status(answer, now_ms)
        return plain if plain.result != "sent" else plain._replace(result="again", words="its answer has no code")
    text = str(said.get(robot.text, ""))[:300]
    if code == 0 and answer.status < 300:
        return Outcome("sent", "taken (code 0)", said=text)
    if code in robot.busy:
        wait_s = max(robot.busy[code], of_status(answer, now_ms).wait_s or 0)
        return Outcome("again", f"it has had too many messages (code {code})", wait_s, said=text)
    wait = of_status(answer, now_ms).wait_s
    return Outcome("again", f"{robot.known.get(code, 'it did not take the message')} (code {code})", wait, said=text)


# ---- what each is asked --------------------------------------------------------------------------------------


def _markdown(message: Message, language: str, most_bytes: int) -> str:
    """Lines of Markdown, as many as fit."""
    title = f"**{in_language(message.subject, language)}**"
    room = most_bytes - len(title.encode()) - len(message.link.encode()) - 200
    write = f"- [{{}}]({'{}'})".format
    lines, rest = fitted(message, language, room, lambda text, link: write(text, link) if link else f"- {text}")
    if rest:
        rest = f"[{rest}]({message.link})" if message.link else rest
    return "\n\n".join((title, "\n".join(lines), *filter(None, [rest])))


def _wecom(channel: Channel, message: Message, now_ms: int, most_bytes: int) -> tuple[str, dict[str, Any]]:
    text = _markdown(message, channel.language, most_bytes)
    return channel.url.reveal(), {"msgtype": "markdown", "markdown": {"content": text}}


def _dingtalk(channel: Channel, message: Message, now_ms: int, most_bytes: int) -> tuple[str, dict[str, Any]]:
    url = channel.url.reveal()
    if channel.secret:
        sign = signatures.dingtalk(channel.secret.reveal(), now_ms)
        url += f"{'&' if '?' in url else '?'}timestamp={now_ms}&sign={sign}"
    title = in_language(message.subject, channel.language)
    text = _markdown(message, channel.language, most_bytes)
    return url, {"msgtype": "markdown", "markdown": {"title": title, "text": text}}


def _feishu(channel: Channel, message: Message, now_ms: int, most_bytes: int) -> tuple[str, dict[str, Any]]:
    rows: list[list[dict[str, str]]] = []

    def write(text: str, link: str) -> str:
        row = [{"tag": "text", "text": text}]
        row += [{"tag": "a", "text": " ↗", "href": link}] if link else []
        rows.append(row)
        return msgspec.json.encode(row).decode()

    lines, rest = fitted(message, channel.language, most_bytes - 2000, write)
    rows = rows[: len(lines)]
    if rest:
        rows.append([{"tag": "text", "text": rest}])
        rows[-1] += [{"tag": "a", "text": " ↗", "href": message.link}] if message.link else []
    post = {"title": in_language(message.subject, channel.language), "content": rows}
    body: dict[str, Any] = {"msg_type": "post", "content": {"post": {"zh_cn": post}}}
    if channel.secret:
        at_s = now_ms // 1000
        body = {"timestamp": str(at_s), "sign": signatures.feishu(channel.secret.reveal(), at_s)} | body
    return channel.url.reveal(), body


ROBOTS = {
    "wecom": Robot(
        "errcode",
        "errmsg",
        4096,
        {45009: 60.0},
        {
            -1: "it is busy",
            40058: "the message is too long for it",
        },
        _wecom,
    ),
    "dingtalk": Robot(
        "errcode",
        "errmsg",
        18_000,
        {130101: 600.0},
        {
            -1: "it is busy",
            310000: "its security settings refuse it: check secret, keywords, addresses and this machine's clock",
        },
        _dingtalk,
    ),
    "feishu": Robot(
        "code",
        "msg",
        18_000,
        {11232: 60.0},
        {
            9499: "it did not understand the message",
            19021: "the signature does not match, or this machine's clock is more than an hour off: check the secret",
            19022: "it does not let in the address of this machine",
            19024: "the message has none of its keywords",
        },
        _feishu,
    ),
}
