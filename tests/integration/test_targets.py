"""Targets at the door, on each database: signed, measured, corrected, scored, opened; the sample packs of two cities.

In: events of posts. Out: what `/v1/targets` and the command show; the recount; that replayed facts are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from consumers.alerts import fold
from consumers.performance import consume
from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.packs import load_pack
from engine.policies import Policies
from engine.reports.document import Document
from engine.reports.making import report_of
from engine.reports.reading import ReportQuestion, Source
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import clocks, exports
from engine.store.database import Connection
from engine.views.names import active_names
from gridpatrol.commands.targets import command
from gridpatrol.render.story import story
from lab.runs import open_at_this_release
from schemas.derived_ids import derived_subject
from tests.support.builders import DAY, HOUR, event
from tests.support.serving import served, tell, wait_until
from tests.support.source_files import ROOT
from workflows.policy.index import Policy
from workflows.policy.model import Pack, digest, encode
from workflows.reading import READS_EVERYTHING

PACKS = ROOT / "examples" / "packs"
OFFICE, MONITOR = "NT-OFFICE", "NT-MONITOR"


def nantong() -> Pack:
    """The sample pack of Nantong."""
    return load_pack(str(PACKS / "nantong"))


def subject_of(target: str, owner: str = "NT", home: str = "NT") -> str:
    """The case of a target of 2020."""
    begins = Policy(nantong(), "x").clock_of_days.day_start(20200101)
    return derived_subject(home, "target", target, owner, 20200101, begins)


def say(engine: Engine, kind: str, actor: str, code: str, then: int, number: int, **data: Any) -> None:
    """Say something of a target of the city that must be taken."""
    said = event(kind, actor, then, case=subject_of(code), id=f"{kind}{number}", **data)
    assert tell(engine, said, then) == "done"


def begin(engine: Engine, then: int) -> None:
    """Two targets, one of which is scored when its year is over, and once more by what is corrected later."""
    for number, target in enumerate(("hazardous-waste", "good-days")):
        say(engine, "target.signed", OFFICE, target, then, number, target=target, year=2020, grid="NT")
    value = {"station": "S", "period": "2020"}
    say(engine, "measurement.recorded", MONITOR, "hazardous-waste", then + HOUR, 1, **value, value="97.9")
    parts = [{"item": item, "value": value} for item, value in (("pm25", "115.5"), ("co", "1"))]
    air = {"station": "S", "period": "2020-01-02", "parts": parts}
    say(engine, "measurement.recorded", MONITOR, "good-days", then + HOUR, 2, **air)
    later = then + 400 * DAY
    say(engine, "measurement.recorded", MONITOR, "hazardous-waste", later, 3, **value, value="98.0")


def debrief_of(connection: Connection) -> Document:
    """The debrief of the city's year, as an operator has it."""
    source = Source(connection, Policies(), now_ms(), READS_EVERYTHING)
    return report_of("debrief", source, ReportQuestion(period="2020"))


@pytest.mark.mechanism("M95", "M101", "M140")
def test_what_was_measured_says_what_came_of_a_target_and_opens(database_url: str, tmp_path: Path) -> None:
    database = open_at_this_release(database_url)
    engine = Engine(database, Settings(database=database_url, partitions=4), [consume.consume, fold.consume])
    fold.epoch(database)
    try:
        then = Policy(nantong(), "x").clock_of_days.day_start(20200110)
        engine.install(nantong(), then - DAY)
        engine.drain()
        with database.begin() as connection:
            clocks.note_replayed(connection, "a test")
        begin(engine, then)
        with served(engine) as door:
            page = door.get("/v1/targets", year="2020")
            shown = {line["target"]: line for line in page["targets"]}
            waste, air = shown["hazardous-waste"], shown["good-days"]
            assert (waste["state"], waste["standing"], waste["value"]) == ("met", "met", "98")
            assert (air["state"], air["standing"], air["reason"]) == ("unscored", "unscored", "too_few")
            assert air["reason_zh"] and air["indicator_zh"] == "AQI达标率"
            listed = door.get("/v1/targets", standing="met", owner="NT", target="hazardous-waste")["targets"]
            assert [line["id"] for line in listed] == [subject_of("hazardous-waste")]
            assert door.get("/v1/targets", year="2021")["targets"] == []
            first = door.get("/v1/targets", limit="1")
            rest = door.get("/v1/targets", limit="1", cursor=first["next"])
            assert {first["targets"][0]["target"], rest["targets"][0]["target"]} == set(shown)

            opened = door.get(f"/v1/targets/{subject_of('hazardous-waste')}")
            assert [(v["value"], v["corrects"], v["late"], v["counts"]) for v in opened["values"]] == [
                ("97.9", False, False, False),
                ("98.0", True, True, True),
            ]
            assert [(s["outcome"], s["value"], s["was"], s["was_value"]) for s in opened["told"]] == [
                ("missed", "97.9", "", ""),
                ("met", "98", "missed", "97.9"),
            ]
            day = door.get(f"/v1/targets/{subject_of('good-days')}")["counted"][0]
            assert (day["number"], day["by"], day["standard"], day["within"]) == ("151", ["pm25"], "HJ 633-2012", False)
            assert door.client.get("/v1/targets/NT.none").status_code == 404
            assert door.client.get("/v1/targets", params={"standing": "x"}).status_code == 400

            def counted() -> bool:
                figures = door.get("/v1/performance", definition="target", period="all")
                counts = figures["rows"][0]["counts"] if figures["rows"] else {}
                return (counts.get("met"), counts.get("missed", 0), counts.get("unscored")) == (1, 0, 1)

            wait_until(counted)
        engine.drain()
        assert verify(engine.database) == []
        assert replayed_beside(engine, tmp_path) == []
        with engine.database.read() as connection:
            steps = exports.steps_of(connection, subject_of("hazardous-waste"))
            lines = "\n".join(story(steps, active_names(connection, Policies())))
            [signed] = [
                each
                for section in debrief_of(connection).sections
                for each in section.tables
                if each.title == "年度目标"
            ]
        rows = {row[0]: row[1:] for row in signed.rows}
        assert rows["AQI达标率"][4] == air["standing_zh"] and rows["AQI达标率"][5] == air["reason_zh"]
        assert rows[waste["indicator_zh"]][1:5] == ("≥98", "98", waste["unit"], waste["standing_zh"])
        assert "评分 scored: missed 97.9" in lines and "监测值 measured: S 2020 98.0" in lines
    finally:
        database.close()
    shown_in = CliRunner().invoke(command, ["list", "--database", database_url])
    assert "AQI达标率" in shown_in.output and "2 targets" in shown_in.output, shown_in.output
    alone = CliRunner().invoke(command, ["show", subject_of("hazardous-waste"), "--database", database_url])
    assert "已被更正 corrected" in alone.output and "before missed 97.9" in alone.output, alone.output


@pytest.mark.mechanism("M102", "M109", "M139")
@pytest.mark.parametrize(("name", "rows", "scored"), [("nantong", 11, 10), ("wuzhong", 16, 9)])
def test_the_sample_packs_of_two_cities_say_where_each_target_comes_from(name: str, rows: int, scored: int) -> None:
    pack = load_pack(str(PACKS / name))
    assert (len(pack.targets), sum(bool(each.value) for each in pack.targets)) == (rows, scored)
    assert all(each.basis.startswith(("吴忠市", "南通市")) and each.year == 2020 for each in pack.targets)
    values = {(each.target, each.owner): (each.comparison, each.value) for each in pack.targets if each.value}
    if name == "nantong":
        assert values["pm25", "NT"] == ("<=", "40") and values["water-iii", "NT"] == (">=", "74.2")
        assert (values["sewage", "NT-URBAN"][1], values["sewage", "NT-COUNTIES"][1]) == ("95", "88")
    else:
        assert values["energy", "WZ-MIIT"] == ("<=", "0.7") and values["good-days", "WZ-EPB"] == (">=", "85")


def test_a_pack_without_targets_keeps_its_bytes() -> None:
    boston = load_pack("boston311")
    assert b'"targets"' not in encode(boston) and len(digest(boston)) > 20
