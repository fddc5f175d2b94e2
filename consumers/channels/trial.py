"""A test message: what an operator sends to see whether a channel works."""

from consumers.channels.message import Message, MessageLine
from consumers.channels.settings import Channel, ChannelFile
from engine.clock import now_ms
from schemas.messages import Words


def example(channel: Channel, config: ChannelFile, post: str) -> Message:
    """A message that says that it is a test."""
    now = now_ms()
    text = Words(
        "这是一条测试消息，收到即表示渠道可用。", "This is a test: whoever reads it can be told by this channel."
    )
    line = MessageLine(
        text=text,
        ids={post: f"test|{now}"} if post else {},
        what="test",
        alert="test",
        case="",
        number="",
        definition="",
        kind="test",
        clock="",
        level=0,
        path="/",
        due_at=now,
        link=config.base_url,
    )
    subject = Words("网格巡查：测试消息", "gridpatrol: a test message")
    posts = {post: post} if post else {}
    return Message(f"msg_test{now}", channel.name, post, now, subject, posts, [line], 1, config.base_url)
