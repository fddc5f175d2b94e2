"""Joint work over several homes: parts lie with their owners, and incident and parts hear of each other by the log.

Enters: what posts of three streets and of the district say, in 1, 2 and 4 partitions. Leaves: states,
what is on its way, and a log that gives the same again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from consumers.channels.kinds import send
from consumers.channels.sender import ChannelSender
from consumers.channels.settings import read_channels
from engine import failpoints
from engine.failpoints import Interrupted
from engine.metrics.counters import Counters
from engine.runtime import Consumer
from engine.store import slices
from engine.store.database import Database
from engine.store.rows import StepRow
from gridpatrol.run.following import follow
from lab.parts.certificates import make_certificate
from schemas import facts
from schemas.joint import joint_of
from schemas.kinds.part import Part
from tests.integration.test_sends_across import line_of, on_their_way, settle, sound
from tests.integration.test_standing import restarted
from tests.simulation.line import NOW, Line
from tests.support.builders import DISTRICT, HOTLINE, MEMBER, STREET, subject
from tests.support.channel_feed import channel_file
from tests.support.receivers import MailReceiver
from workflows import case as cases
from workflows.case import Case
from workflows.clocks.limits import DAY_MS
from workflows.definitions import held_by
from workflows.definitions.part import JOINT_CLOCK, REPLY

MINUTE = 60_000
LEAD = subject("WY01")


@pytest.fixture(params=[1, 2, 4])
def line(database_url: str, request: pytest.FixtureRequest) -> Iterator[Line]:
    with line_of(database_url, request.param) as found:
        yield found


class Town:
    """What is said in several homes, a minute after each other; what is said from home to home arrives a second on."""

    def __init__(self, line: Line) -> None:
        self.line, self.now = line, NOW

    def say(self, kind: str, by: str, case: str = LEAD, *, settled: bool = True, **data: Any) -> None:
        """Say something, and let all hear what comes of it."""
        self.now += MINUTE
        self.line.say(kind, by, self.now, case=case, **data)
        if settled:
            settle(self.line, self.now + 1000)

    def case(self, id_: str = LEAD) -> Case:
        """A case as it is stored."""
        with self.line.engine.database.read() as connection:
            ((_, _, body),) = slices.read_cases(connection, [id_])
        return cases.decode(body)

    @property
    def parts(self) -> list[str]:
        """The ids of the incident's parts."""
        return [each.id for each in joint_of(self.case().own).parts]

    def states(self) -> list[str]:
        """The states of the incident and of its parts."""
        return [self.case(id_).state for id_ in (LEAD, *self.parts)]

    def handled_with_parts(self, *owners: str) -> None:
        """Told by the hotline, accepted; the district gives others their parts; handled by the street."""
        self.say("report.submitted", HOTLINE, category="D3-04", source="hotline", grid="WY01-01")
        self.say("incident.accepted", STREET)
        self.say("parts.ordered", DISTRICT, owners=[*owners])
        self.say("handling.completed", STREET)


@pytest.mark.mechanism("M30", "M31", "M64", "M74")
def test_parts_of_streets_and_departments_lie_with_their_owners_and_are_waited_for(line: Line, tmp_path: Path) -> None:
    town = Town(line)
    town.handled_with_parts("WY02", "WY03", "WY-EPB")
    assert [id_.partition(".")[0] for id_ in town.parts] == ["WY02", "WY03", "XA"]
    assert town.states() == ["awaiting_parts", "entrusted", "entrusted", "entrusted"]
    second, third, office = town.parts
    assert held_by(town.case()).grid == "WY02" and held_by(town.case(office)).department == "WY-EPB"
    own = town.case(second).own
    assert isinstance(own, Part) and (own.lead, own.lead_grid) == (LEAD, "WY01")
    town.say("part.completed", "WY02-CHIEF", second)
    assert held_by(town.case()).grid == "WY03"
    town.say("part.returned", "WY-EPB-H", office, reason="not_our_duty")
    town.say("parts.released", DISTRICT, part=office, reason="not_theirs")
    town.say("part.completed", "WY03-CHIEF", third)
    assert town.states() == ["verifying", "finished", "finished", "let_off"]
    town.say("verification.recorded", MEMBER, outcome="unsolved", parts=[third])
    assert town.states() == ["reported", "finished", "entrusted", "let_off"]
    town.say("incident.accepted", STREET)
    town.say("handling.completed", STREET)
    town.say("part.completed", "WY03-CHIEF", third)
    town.say("verification.recorded", MEMBER, outcome="solved")
    town.say("incident.closed", MEMBER)
    assert town.states() == ["closed", "settled", "settled", "let_off"]
    assert on_their_way(line) == 0 and line.letters() == []
    sound(line, tmp_path)


@pytest.mark.parametrize("line", [2], indirect=True)
def test_words_that_cross_each_other_end_in_one_state_for_both(line: Line, tmp_path: Path) -> None:
    """A part is done while it is released; another while its incident is merged; a third one after the end."""
    town = Town(line)
    town.handled_with_parts("WY02", "WY03", "WY04")
    second, third, fourth = town.parts
    town.say("part.completed", "WY02-CHIEF", second, settled=False)
    town.say("parts.released", DISTRICT, part=second, reason="no_answer")
    assert (town.case().state, town.case(second).state) == ("awaiting_parts", "let_off")
    town.say("report.submitted", HOTLINE, subject("WY01", 2), category="D3-04", source="hotline", grid="WY01-01")
    town.say("part.completed", "WY03-CHIEF", third, settled=False)
    town.say("incident.merged", STREET, into=subject("WY01", 2))
    survivor = joint_of(town.case(subject("WY01", 2)).own)
    assert [(each.id, each.complete) for each in survivor.parts if each.alive] == [(third, True), (fourth, False)]
    own = town.case(third).own
    assert isinstance(own, Part) and own.lead == subject("WY01", 2)
    town.say("part.completed", "WY04-CHIEF", fourth, settled=False)
    town.say("incident.force_closed", DISTRICT, subject("WY01", 2), reason="policy")
    assert [town.case(id_).state for id_ in (third, fourth)] == ["settled", "settled"]
    assert line.of(facts.Unserved, 1) or line.of(facts.Unserved, 2), "what came too late is a fact of who heard it"
    sound(line, tmp_path)


POINTS = ["sends.before_mark", "slice.after_commit"]


@pytest.mark.parametrize("point", POINTS)
def test_interrupted_anywhere_a_part_is_borne_and_heard_once(sqlite_url: str, tmp_path: Path, point: str) -> None:
    with line_of(sqlite_url, 2) as line:
        town = Town(line)
        for count in (1, 2):
            failpoints.arm(f"{point}:raise@{count}")
            try:
                if count == 1:
                    town.handled_with_parts("WY02", "WY03")
                else:
                    town.say("part.completed", "WY02-CHIEF", town.parts[0])
            except Interrupted:
                line = town.line = restarted(line)
            finally:
                failpoints.arm("")
            settle(line, town.now + 1000)
            if count == 1 and town.case().state != "awaiting_parts":  # the rest of what was to be said
                for kind, by, data in SAID[len(line.steps(1)) :]:
                    town.say(kind, by, **data)
        assert town.states() == ["awaiting_parts", "finished", "entrusted"]
        assert [len([f for f in town_facts(line, id_) if isinstance(f, facts.Born)]) for id_ in town.parts] == [1, 1]
        sound(line, tmp_path)


SAID: list[tuple[str, str, dict[str, Any]]] = [
    ("report.submitted", HOTLINE, {"category": "D3-04", "source": "hotline", "grid": "WY01-01"}),
    ("incident.accepted", STREET, {}),
    ("parts.ordered", DISTRICT, {"owners": ["WY02", "WY03"]}),
    ("handling.completed", STREET, {}),
]


def town_facts(line: Line, id_: str) -> list[Any]:
    """The facts of a case."""
    from lab import runs
    from schemas.facts import decode_facts

    return [fact for step in runs.steps(line.engine) if step.case_id == id_ for fact in decode_facts(step.body)]


# ---- neighbours -------------------------------------------------------------------------------------------

LETTERS = """
[channel.letters]
kind = "smtp"
host = "localhost"
port = {port}
ca = "{ca}"
private = true
from = "office@example.org"
to = {{ "NB-01" = "environment@example.org" }}
[[route]]
channels = ["letters"]
posts = ["NB-*"]
"""


def told_then(town: Town) -> Consumer:
    """Lines of the feed are told at the town's instant, not at the wall's."""

    def consume(database: Database, at_hand: Sequence[StepRow] = (), limit: int = 1000) -> int:
        return follow(database, at_hand, limit, town.now)

    return consume


@pytest.mark.mechanism("M74", "M75")
def test_a_neighbour_has_a_letter_by_mail_and_its_answer_is_entered_by_a_post(sqlite_url: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "door")
    server = MailReceiver((certificate.certificate, certificate.key))
    file = channel_file(tmp_path, LETTERS.format(port=server.port, ca=certificate.ca))
    try:
        with line_of(sqlite_url, 2) as line:
            town, config = Town(line), read_channels(str(file))
            line.engine.consumers = [told_then(town)]
            office = ChannelSender(
                line.engine.database, config, config.channels["letters"], Counters(), lambda: town.now + MINUTE, send
            )

            def posted() -> list[tuple[str, str]]:
                """What the neighbour has in its box: subjects and texts."""
                while not office.run_once():
                    pass
                mails = [server.mails.get_nowait() for _ in range(server.mails.qsize())]
                assert all(mail.tls and "<environment@example.org>" in mail.recipients[0] for mail in mails)
                read = [message_from_bytes(mail.data, EmailMessage, policy=policy.default) for mail in mails]
                return [(mail["Subject"], mail.get_content()) for mail in read]

            town.say("report.submitted", HOTLINE, category="D3-04", source="hotline", grid="WY01-01")
            town.say("incident.accepted", STREET)
            assert posted() == []
            town.say("parts.ordered", DISTRICT, owners=["WY02"], neighbours=["NB-01"], limit="3工作日")
            letter = town.parts[1]
            ((subject_, text),) = posted()
            assert subject_ == "一号街道第1社区（示例）：交办 1 件，时限3月5日 09:03"
            assert "协办件「裸露场地扬尘」（一号街道第1社区（示例））：交办，时限 2026-03-05 09:03。" in text
            assert town.case(letter).state == "written_to" and town.case(letter).clock(REPLY) is not None
            town.say("part.answered", "WY02-CHIEF", letter, outcome="agreed")
            assert town.case(letter).state == "written_to", "another street's chief enters no answer"
            town.now += 5 * DAY_MS
            town.say("part.answered", DISTRICT, letter, outcome="agreed")
            (stopped,) = (each for each in town_facts(line, letter) if isinstance(each, facts.ClockStopped))
            assert (stopped.clock, stopped.result) == (REPLY, "overdue"), "the clock is ours"
            assert town.case(letter).state == "taken_on" and town.case(letter).clock(JOINT_CLOCK) is not None
            town.say("part.completed", DISTRICT, letter)
            assert posted() == [], "of an answer that was entered it is told nothing"
            town.say("handling.completed", STREET)
            town.say("part.completed", "WY02-CHIEF", town.parts[0])
            town.say("verification.recorded", MEMBER, outcome="unsolved", parts=[letter])
            ((subject_, text),) = posted()
            assert subject_.startswith("一号街道第1社区（示例）：退回 1 件，时限3月"), "it is written to once more"
    finally:
        server.close()
