"""What a channel tells to whom and when: its own place in the feed, groups, digests, quiet hours, retries, ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from consumers.channels.keeper import ChannelKeeper
from consumers.channels.message import Message
from consumers.channels.outcome import Outcome
from consumers.channels.sender import BACKOFF_S, ChannelSender
from consumers.channels.settings import read_channels
from engine.errors import StaleWriter
from engine.failpoints import Interrupted, arm
from engine.metrics.counters import Counters
from engine.store import channels
from engine.store.database import Database
from lab.parts.postgres import fresh_database
from schemas.messages import Line
from tests.support.builders import HOUR, at, subject
from tests.support.channel_feed import (
    CHIEF,
    SPONSOR,
    Receiver,
    alert,
    channel_file,
    database_with_pack,
    feed,
    notice,
    one_channel,
)
from tests.support.settings_files import put_file, read_at_once

MORNING = at("03-02 09:00")
SECOND, MINUTE = 1000, 60_000
DAY = 24 * HOUR
AWAY = Outcome("again", "nobody answers")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def one_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database for all of these tests: to make one takes longer than any of them."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('channels') / 'gridpatrol.db'}"
        else:
            server, template = (request.getfixturevalue(f"postgres_{name}") for name in ("server", "template"))
            url = stack.enter_context(fresh_database(server, template))
        yield stack.enter_context(database_with_pack(url))


@pytest.fixture
def database(one_database: Database) -> Iterator[Database]:
    yield one_database
    with one_database.begin() as connection:
        for table in ("deliveries", "channel_lines", "channel_messages", "positions"):
            connection.exec_driver_sql(f"DELETE FROM {table}")


def receiver(database: Database, folder: Path, route: str = "", channel: str = "") -> Receiver:
    """A channel that has looked at the empty feed, at nine in the morning."""
    found = Receiver(database, one_channel(folder, route, channel), at=MORNING)
    assert found.until() == []
    return found


def texts(message: Message) -> list[tuple[str, str]]:
    return [(line.what, line.case) for line in message.lines]


# ---- groups -----------------------------------------------------------------------------------------------------


def test_lines_of_one_moment_are_one_message_which_says_who_must_do_what_until_when(database, tmp_path):
    hook, due = receiver(database, tmp_path), at("03-02 16:00")
    feed(
        database,
        MORNING,
        alert(1, case=1, clock="handle", rung="warn", due=due, due_at=due - HOUR),
        alert(2, case=2, clock="handle", rung="warn", due=due, due_at=due - HOUR, to=(CHIEF, SPONSOR)),
        notice(3, case=3),
    )
    assert hook.until() == []  # others may join it
    [message] = hook.until(MORNING + 10 * SECOND)
    assert message.subject.zh == "三号街道办事处（示例）：处置 2 件今日 16:00 到期；另 1 件"
    assert message.subject.en == "三号街道办事处（示例）: handle, 2 due today 16:00; 1 more"
    assert message.posts == {CHIEF: "街道办事处主任", SPONSOR: "包抓区领导"}
    assert message.lines[0].link == f"https://grid.example/v1/incidents/{subject('WY03', 1)}"
    assert [list(line.ids) for line in message.lines] == [[CHIEF], [CHIEF, SPONSOR], [CHIEF]]
    assert {line.ids[CHIEF] for line in message.lines} == {
        told.line.id for told in hook.lines() if told.line.post == CHIEF
    }
    assert hook.statuses() == ["sent"] * 4
    assert hook.until(MORNING + DAY) == []


def test_a_new_channel_begins_with_the_next_line_and_each_line_is_told_once(database, tmp_path):
    feed(database, MORNING - HOUR, alert(1, due=MORNING))
    hook = receiver(database, tmp_path)
    feed(database, MORNING, alert(2, case=2, due=MORNING))
    [message] = hook.until(MORNING + MINUTE)
    assert texts(message) == [("firing", subject("WY03", 2))]
    hook.begin()
    assert hook.until(MORNING + HOUR) == []


def test_routes_say_who_is_told_what_and_the_first_that_matches_tells_it(database, tmp_path):
    hook = receiver(
        database,
        tmp_path,
        route=f"""
        name = "late in the third street"
        grids = ["WY03"]
        posts = ["{CHIEF}"]
        severities = ["overdue"]
        [[route]]
        name = "work that arrives"
        channels = ["hook"]
        moves = ["assigned"]
        """,
    )
    due = MORNING - HOUR
    feed(
        database,
        MORNING,
        alert(1, rung="overdue", due=due, due_at=MORNING, to=(CHIEF, SPONSOR)),
        alert(2, case=2, due=due),
        alert(3, case=3, rung="overdue", due=due, due_at=MORNING, path="/XA/WY/WY04/WY04-01/"),
        notice(4, case=4, to=(SPONSOR,)),
        notice(5, "copied", case=5),
    )
    hook.until(MORNING + MINUTE)
    found = [(told.line.number, told.line.post, told.line.route) for told in hook.lines()]
    assert found == [(1, CHIEF, "late in the third street"), (4, SPONSOR, "work that arrives")]


# ---- when -------------------------------------------------------------------------------------------------------


def test_a_digest_waits_for_its_time_and_nothing_else_takes_it_along(database, tmp_path):
    hook = receiver(database, tmp_path, "digest = true\nmoves = ['assigned']\n[[route]]\nchannels = ['hook']")
    feed(database, MORNING, notice(1), alert(2, case=2, due=MORNING), notice(3, case=3))
    [first] = hook.until(MORNING + MINUTE)
    assert texts(first) == [("firing", subject("WY03", 2))]
    assert hook.until(at("03-02 16:59")) == []
    [digest] = hook.until(at("03-02 17:00"))
    assert texts(digest) == [("told", subject("WY03", 1)), ("told", subject("WY03", 3))]
    feed(database, at("03-02 18:00"), notice(4, case=4))
    assert hook.until(at("03-03 08:29")) == []
    assert len(hook.until(at("03-03 08:30"))) == 1


def test_a_repeat_is_one_line_of_the_next_message(database, tmp_path):
    hook, due = receiver(database, tmp_path), MORNING - HOUR

    def late(number: int, repeat: int) -> tuple[int, Line]:
        return alert(number, rung="overdue", due=due, due_at=MORNING, repeat=repeat)

    feed(database, MORNING, late(1, 1), late(2, 2))
    assert hook.until(MORNING + HOUR) == []
    feed(database, MORNING + HOUR, alert(3, case=2, due=MORNING))
    [message] = hook.until(MORNING + 2 * HOUR)
    assert sorted(texts(message)) == [("firing", subject("WY03", 1))] * 2 + [("firing", subject("WY03", 2))]
    feed(database, MORNING + 3 * HOUR, late(4, 3))
    assert hook.until(at("03-02 16:59")) == []
    [alone] = hook.until(at("03-02 17:00"))
    assert texts(alone) == [("firing", subject("WY03", 1))]


@pytest.mark.parametrize(
    ("route", "rings"),
    [("", "07:00"), ('quiet = "20:00-08:00"', "08:00"), ('quiet = ""', "23:00")],
    ids=["the pack's", "the route's", "none"],
)
def test_in_quiet_hours_it_waits(database, tmp_path, route, rings):
    hook, night = receiver(database, tmp_path, route), at("03-02 23:00")
    feed(database, night, alert(1, "firing", due=night))
    wakes = at(f"03-{'02' if rings == '23:00' else '03'} {rings}")
    assert hook.until(wakes + 9 * SECOND if wakes == at("03-02 23:00") else wakes - 1) == []
    assert len(hook.until(wakes + 10 * SECOND)) == 1


def test_a_clock_that_rings_at_night_does(database, tmp_path):
    hook, night = receiver(database, tmp_path), at("03-02 23:00")
    feed(database, night, alert(1, clock="handle", due=night), alert(2, case=2, clock="accept", due=night))
    hook.answers = [AWAY]
    hook.until(night + 10 * SECOND)
    [message] = hook.until(night + MINUTE)
    assert texts(message)[0] == ("firing", subject("WY03", 1))


def test_what_was_held_up_till_night_rings_nobody_then(database, tmp_path):
    hook, evening = receiver(database, tmp_path), at("03-02 21:50")
    hook.answers = [AWAY]
    feed(database, evening, alert(1, due=evening))
    assert hook.until(evening + 10 * SECOND) == []
    assert hook.until(at("03-02 22:30")) == []
    assert len(hook.tried_at) == 1
    assert len(hook.until(at("03-03 07:00"))) == 1
    # And so it is with what was not in a message yet, since there were too many in that minute.
    hook.answers = [Outcome("again", "too many", 3600.0)]
    feed(database, at("03-03 21:00"), alert(2, case=2, due=evening))
    hook.until(at("03-03 21:01"))
    feed(database, at("03-03 21:59"), alert(3, case=3, due=evening))
    assert hook.until(at("03-03 22:30")) == []
    assert len(hook.until(at("03-04 07:00"))) == 2


# ---- ends -------------------------------------------------------------------------------------------------------


def test_an_end_is_told_to_whom_the_alert_was_told(database, tmp_path):
    hook = receiver(database, tmp_path)
    feed(database, MORNING, alert(1, due=MORNING))
    hook.until(MORNING + MINUTE)
    feed(database, MORNING + HOUR, alert(2, "resolved", due=MORNING, to=(CHIEF, SPONSOR)))
    [message] = hook.until(MORNING + 2 * HOUR)
    assert texts(message) == [("resolved", subject("WY03", 1))]
    assert list(message.lines[0].ids) == [CHIEF]
    assert message.subject.zh == "三号街道办事处（示例）：受理告警已解除 1 件"


def test_what_ended_or_was_acknowledged_before_it_was_told_is_not_told(database, tmp_path):
    hook = receiver(database, tmp_path, "digest = true")
    feed(database, MORNING, alert(1, due=MORNING), alert(2, case=2, due=MORNING, to=(CHIEF, SPONSOR)))
    hook.until(MORNING + MINUTE)
    feed(
        database,
        MORNING + HOUR,
        alert(3, "resolved", due=MORNING),
        alert(4, "acknowledged", case=2, due=MORNING, by=CHIEF),
        alert(5, case=3, due=MORNING),
        alert(6, "withdrawn", case=3, due=MORNING),
    )
    [message] = hook.until(at("03-02 17:00"))
    assert [list(line.ids) for line in message.lines] == [[SPONSOR]]
    assert hook.statuses() == ["overtaken", "overtaken", "sent", "overtaken"]
    assert (
        hook.counters.registry.get_sample_value(
            "gridpatrol_alert_deliveries_total", {"channel": "hook", "outcome": "overtaken"}
        )
        == 3
    )


def test_what_is_older_than_a_day_goes_to_no_channel(database, tmp_path):
    hook = receiver(database, tmp_path)
    feed(database, MORNING, alert(1, due=MORNING), alert(2, case=2, due=MORNING, feed_only=True))
    feed(database, MORNING + DAY, alert(3, case=3, due=MORNING))
    [message] = hook.until(MORNING + DAY + 11 * SECOND)
    assert texts(message) == [("firing", subject("WY03", 3))]
    assert [(told.line.number, told.line.status) for told in hook.lines()] == [(1, "too_old"), (3, "sent")]


# ---- failures ---------------------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_later_each_time_and_given_up_visibly(database, tmp_path):
    hook = receiver(database, tmp_path, channel="tries = 4")
    hook.answers = [AWAY] * 4
    feed(database, MORNING, alert(1, due=MORNING))
    first = MORNING + 10 * SECOND
    waits = [int(BACKOFF_S) * 4**k * SECOND for k in range(3)]
    for due in (first + sum(waits[:k]) for k in range(4)):  # not a second sooner, and not twice
        for now in (due - SECOND, due, due + SECOND):
            hook.until(now)
    hook.until(MORNING + HOUR)
    assert hook.tried_at == [first, first + waits[0], first + sum(waits[:2]), first + sum(waits)]
    assert hook.statuses() == ["given_up"]
    [told] = hook.lines()
    assert (told.tries, told.reply) == (4, "nobody answers")
    with database.begin() as connection:
        assert channels.try_again(connection, "hook", hook.now) == 1
    [message] = hook.until(now + HOUR)
    assert texts(message) == [("firing", subject("WY03", 1))]
    assert hook.statuses() == ["sent"]


def test_the_other_side_says_how_long_it_wants_to_be_left_alone(database, tmp_path):
    hook = receiver(database, tmp_path)
    hook.answers = [Outcome("again", "too many", 600.0)]
    feed(database, MORNING, alert(1, due=MORNING))
    hook.until(MORNING + 10 * SECOND)
    feed(database, MORNING + MINUTE, alert(2, case=2, due=MORNING), alert(3, case=3, due=MORNING))
    assert hook.until(MORNING + 9 * MINUTE) == []
    messages = hook.until(MORNING + 11 * MINUTE)
    # What came meanwhile is told together.
    assert [len(message.lines) for message in messages] == [1, 2]


def test_a_message_that_is_refused_delays_no_other(database, tmp_path):
    hook = receiver(database, tmp_path)
    hook.answers = [Outcome("refused", "no such mailbox", whole=False)]
    feed(database, MORNING, alert(1, due=MORNING))
    hook.until(MORNING + MINUTE)
    feed(database, MORNING + MINUTE, alert(2, case=2, due=MORNING))
    assert len(hook.until(MORNING + 2 * MINUTE)) == 1
    assert hook.statuses() == ["given_up", "sent"]


def test_a_channel_that_is_down_delays_only_itself(database, tmp_path):
    text = """
        [channel.down]
        kind = "webhook"
        url = "https://down.example"
        secret_file = "secret"
        [channel.up]
        kind = "webhook"
        url = "https://up.example"
        secret_file = "secret"
        [[route]]
        channels = ["down", "up"]
        """
    config = read_channels(str(channel_file(tmp_path, text)))
    down, up = (Receiver(database, config, name, MORNING) for name in ("down", "up"))
    down.answers = [AWAY] * 100
    for each in (down, up):
        each.until()
    for number in range(1, 6):
        now = MORNING + number * HOUR
        feed(database, now, alert(number, case=number, due=now))
        assert down.until(now + MINUTE) == []
        assert len(up.until(now + MINUTE)) == 1
    assert up.statuses() == ["sent"] * 5
    down.answers = []
    told = [line.case for message in down.until(MORNING + 7 * HOUR) for line in message.lines]
    assert sorted(told) == sorted(subject("WY03", number) for number in range(1, 6))


def test_no_more_messages_a_minute_than_the_channel_takes_also_after_a_restart(database, tmp_path):
    hook = receiver(database, tmp_path, channel="per_minute = 2\nwait_s = 0")
    for number in range(1, 6):
        feed(database, MORNING + number * SECOND, alert(number, case=number, due=MORNING))
        hook.until(MORNING + number * SECOND)
        hook.begin()
    assert [len(message.lines) for message in hook.sent] == [1, 1]
    assert [len(message.lines) for message in hook.until(MORNING + 61 * SECOND)] == [3]


def test_a_process_that_dies_between_sending_and_recording_sends_the_same_again(database, tmp_path):
    hook = receiver(database, tmp_path)
    feed(database, MORNING, alert(1, due=MORNING))
    arm("channel.after_send:raise")
    with pytest.raises(Interrupted):
        hook.until(MORNING + MINUTE)
    arm("")
    feed(database, MORNING + MINUTE, alert(2, case=2, due=MORNING))
    hook.begin()
    again, other = hook.until(MORNING + 2 * MINUTE)
    first = hook.sent[0]
    assert again == first and other.id != first.id
    assert hook.statuses() == ["sent", "sent"]


def test_a_defect_in_writing_one_message_leaves_the_others_alone(database, tmp_path):
    hook = receiver(database, tmp_path)

    def broken(*asked: object) -> Outcome:
        raise ValueError("what somebody wrote")

    feed(database, MORNING, alert(1, due=MORNING))
    whole = ChannelSender(
        database, hook.config, hook.config.channels["hook"], Counters(), lambda: MORNING + MINUTE, broken
    )
    assert whole.run_once() == 0.0
    [told] = hook.lines()
    assert told.reply.startswith("a defect at ") and "somebody" not in told.reply
    feed(database, MORNING + MINUTE, alert(2, case=2, due=MORNING))
    assert len(hook.until(MORNING + 2 * MINUTE)) == 2


def test_two_processes_never_take_the_same_lines(database, tmp_path):
    hook = receiver(database, tmp_path)
    feed(database, MORNING, alert(1, due=MORNING))
    with database.begin() as connection:
        was, _ = channels.place(connection, "hook")
        channels.move_on(connection, "hook", was, 1)
        with pytest.raises(StaleWriter):
            channels.move_on(connection, "hook", was, 1)
    assert hook.until(MORNING + MINUTE) == []


# ---- the keeper -------------------------------------------------------------------------------------------------


def test_a_channel_that_leaves_the_file_is_closed_and_a_broken_file_changes_nothing(
    database, tmp_path, caplog, monkeypatch
):
    read_at_once(monkeypatch)
    file = channel_file(tmp_path, "")
    hook = receiver(database, tmp_path, "digest = true")
    feed(database, MORNING, alert(1, due=MORNING))
    hook.until()
    keeper = ChannelKeeper(database, str(file), Counters(), lambda _: lambda: MORNING, leased=True)
    try:
        put_file(file, "[channel.hook]\nkind = 'pigeon'")
        keeper.run_once()
        assert "channels.kept" in caplog.text
        assert list(keeper.senders) == ["hook"] and hook.statuses() == ["waiting"]
        put_file(file, "keep_days = 30\n")
        keeper.run_once()
        assert keeper.senders == {}
        [told] = hook.lines()
        assert (told.line.status, told.reply) == ("given_up", "the channel was removed")
        with database.read() as connection:
            assert channels.names(connection) == []
    finally:
        keeper.stop_asked.set()
        keeper.release()


def test_of_several_processes_one_sends_and_another_takes_over(database, tmp_path):
    file = channel_file(tmp_path, "")
    one_channel(tmp_path)

    def keeper() -> ChannelKeeper:
        return ChannelKeeper(database, str(file), Counters(), lambda _: lambda: MORNING, leased=True)

    one, two = keeper(), keeper()
    try:
        one.run_once()
        two.run_once()
        assert (list(one.senders), list(two.senders)) == (["hook"], [])
        one.release()
        assert one.senders == {}
        two.run_once()
        assert list(two.senders) == ["hook"]
    finally:
        one.release()
        two.release()


def test_what_has_ended_long_ago_is_forgotten(database, tmp_path):
    hook = receiver(database, tmp_path)
    feed(database, MORNING, alert(1, due=MORNING))
    hook.until(MORNING + MINUTE)
    assert hook.statuses() == ["sent"]
    hook.until(MORNING + 181 * DAY)
    assert hook.statuses() == []
