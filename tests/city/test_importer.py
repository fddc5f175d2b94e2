"""The importer: order, times, places and identity of the events, and what becomes of rows that are none."""

import csv
import gzip
import io
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridpatrol.importers import boston311
from gridpatrol.importers.boston311 import ANY_CODE, SHIPPED, Codes, ImportRemark, NotBoston311, category_code, events
from schemas.envelope import Envelope, decode_data, decode_envelope
from schemas.kinds.incident import Closed, ReportSubmitted
from schemas.partition import home_of
from schemas.refusals import Refusal

HEADER = (
    "case_enquiry_id,open_dt,target_dt,closed_dt,ontime,case_status,subject,reason,type,queue,department,"
    "city_council_district,neighborhood_services_district,police_district,pwd_district,fire_district,"
    "neighborhood,ward,precinct,latitude,longitude,source"
)
"""As the city wrote it in 2016."""
COLUMNS = HEADER.split(",")
PRESENT_HEADER = (
    "case_enquiry_id,open_dt,sla_target_dt,closed_dt,on_time,case_status,closure_reason,case_title,subject,reason,type,"
    "queue,department,submitted_photo,closed_photo,location,fire_district,pwd_district,city_council_district,"
    "police_district,neighborhood,neighborhood_services_district,ward,precinct,location_street_name,location_zipcode,"
    "latitude,longitude,geom_4326,source"
)
"""As it writes it now."""
TREE = {"BOS": "", "D3": "BOS", "D3W15": "D3", "P1506": "D3W15", "D8": "BOS", "D8W3": "D8"}
CASE = {
    "case_enquiry_id": "101001354519",
    "open_dt": "2015-04-13T00:53:53",
    "target_dt": "2015-04-28T08:30:00",
    "closed_dt": "2015-04-23T14:29:21",
    "ontime": "ONTIME",
    "case_status": "Closed",
    "type": "Sidewalk Repair (Make Safe)",
    "queue": "PWDx_Highway Construction",
    "department": "PWDx",
    "city_council_district": "3",
    "ward": "Ward 15",
    "precinct": "1506",
    "latitude": "42.311",
    "longitude": "-71.056",
    "source": "Constituent Call",
}


def line_of(**changes: str) -> str:
    out = io.StringIO()
    fields = dict.fromkeys(COLUMNS, "") | CASE | changes
    csv.writer(out, lineterminator="\n").writerow(fields[name] for name in COLUMNS)
    return out.getvalue()


def file_of(tmp_path: Path, *lines: str | bytes) -> Path:
    path = tmp_path / "cases.csv"
    whole = [HEADER + "\n", *lines]
    path.write_bytes(b"".join(line if isinstance(line, bytes) else line.encode() for line in whole))
    return path


def imported(
    path: Path, deadlines: Literal["city", "pack"] = "city", run: int = boston311.RUN, codes: Codes = ANY_CODE
) -> tuple[list[dict[str, Any]], list[ImportRemark]]:
    remarks: list[ImportRemark] = []
    made = events(path, TREE, remarks.append, deadlines=deadlines, run=run, codes=codes)
    found = [msgspec.json.decode(event) for event in made]
    return found, remarks


def one(tmp_path: Path, **changes: str) -> dict[str, Any]:
    """The report of a single row that is imported without a remark."""
    found, remarks = imported(file_of(tmp_path, line_of(**changes)))
    assert remarks == []
    return next(event for event in found if event["type"] == boston311.REPORTED)


# ---- one case ---------------------------------------------------------------------------------------------


def test_a_closed_case_becomes_a_report_and_a_closing(tmp_path: Path) -> None:
    (report, close), remarks = imported(file_of(tmp_path, line_of()))
    assert remarks == []
    subject = report["subject"]
    assert report == {
        "specversion": "1.0",
        "id": "101001354519-report",
        "source": "urn:boston311",
        "type": "gridpatrol.report.submitted.v1",
        "subject": subject,
        "time": "2015-04-13T00:53:53-04:00",
        "actor": "B311",
        "data": {
            "definition": "service_request",
            "category": "sidewalk-repair-make-safe",
            "source": "hotline",
            "reference": "101001354519",
            "grid": "P1506",
            "position": {"lat": 42.311, "lon": -71.056},
            "department": "PWDx",
            "unit": "pwdx-highway-construction",
            "deadline": "2015-04-28T08:30:00-04:00",
        },
    }
    assert close == report | {
        "id": "101001354519-close",
        "type": "gridpatrol.incident.closed.v1",
        "time": "2015-04-23T14:29:21-04:00",
        "data": {},
    }


def test_an_open_case_has_no_closing(tmp_path: Path) -> None:
    found, _ = imported(file_of(tmp_path, line_of(closed_dt="", case_status="Open")))
    assert [event["id"] for event in found] == ["101001354519-report"]


def test_the_deadline_is_the_citys_or_none_or_left_to_the_pack(tmp_path: Path) -> None:
    without = file_of(tmp_path, line_of(target_dt=""))
    assert imported(without)[0][0]["data"]["deadline"] is None
    for path in (without, file_of(tmp_path, line_of())):
        assert "deadline" not in imported(path, "pack")[0][0]["data"]


def test_the_case_id_is_a_uuid7_of_the_opening_and_the_same_on_every_run(tmp_path: Path) -> None:
    first, again = one(tmp_path)["subject"], one(tmp_path, queue="another")["subject"]
    assert first == again
    uuid = UUID(first.rpartition(".")[2])
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert uuid.int >> 80 == round(datetime.fromisoformat("2015-04-13T00:53:53-04:00").timestamp() * 1000)
    assert one(tmp_path, case_enquiry_id="101001354520")["subject"] != first


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("2015-07-01T12:00:00", "2015-07-01T12:00:00-04:00"),
        ("2016-01-12T22:54:00", "2016-01-12T22:54:00-05:00"),
        ("2015-11-01T01:30:00", "2015-11-01T01:30:00-04:00"),  # comes twice: the first, in summer time
        ("2016-03-13T02:30:00", "2016-03-13T02:30:00-05:00"),  # is skipped: the instant 03:30 summer time
    ],
)
def test_local_times_get_their_offset(tmp_path: Path, local: str, instant: str) -> None:
    assert one(tmp_path, target_dt=local)["data"]["deadline"] == instant


@pytest.mark.parametrize(
    ("place", "grid", "home"),
    [
        ({"precinct": "1506"}, "P1506", "D3W15"),
        (
            {"precinct": "1506", "ward": "10", "city_council_district": "8"},
            "P1506",
            "D3W15",
        ),  # the precinct counts
        ({"precinct": "", "ward": "Ward 3", "city_council_district": "8"}, "D8W3", "D8W3"),
        ({"precinct": "", "ward": "03", "city_council_district": "8"}, "D8W3", "D8W3"),
        ({"precinct": "", "ward": "3", "city_council_district": "8"}, "D8W3", "D8W3"),
        (
            {"precinct": "", "ward": "15", "city_council_district": "8"},
            "D8",
            "BOS",
        ),  # no such pair in the tree
        ({"precinct": "", "ward": "", "city_council_district": "8"}, "D8", "BOS"),
        (
            {"precinct": "", "ward": "03", "city_council_district": "0"},
            None,
            "BOS",
        ),  # 0: outside the districts
        (
            {"precinct": "", "ward": "03", "city_council_district": ""},
            None,
            "BOS",
        ),  # a ward alone is ambiguous
        ({"precinct": "", "ward": "", "city_council_district": ""}, None, "BOS"),
    ],
)
def test_the_place_is_the_finest_that_is_known_and_home_its_street(
    tmp_path: Path, place: dict[str, str], grid: str | None, home: str
) -> None:
    report = one(tmp_path, **place)
    assert report["data"].get("grid") == grid
    assert home_of(report["subject"]) == home


def test_a_precinct_that_the_pack_does_not_know_is_reported(tmp_path: Path) -> None:
    found, remarks = imported(file_of(tmp_path, line_of(precinct="2299", city_council_district="8", ward="")))
    assert found[0]["data"]["grid"] == "D8"
    assert [(p.row, p.field, p.imported) for p in remarks] == [(2, "precinct", True)]
    assert "P2299" in remarks[0].value and "2299" in remarks[0].line


@pytest.mark.parametrize(("city", "ours"), boston311.SOURCES.items())
def test_each_source_of_the_city_has_ours(tmp_path: Path, city: str, ours: str) -> None:
    assert one(tmp_path, source=city)["data"]["source"] == ours


def test_a_working_queue_is_sent_as_a_code_that_fits_the_contract(tmp_path: Path) -> None:
    assert one(tmp_path, queue="INFO_Reallocation From Dept" + " and so on" * 20)["data"]["unit"] == (
        "info-reallocation-from-dept-and-so-on-and-so-on-and-so-on-and-so"
    )
    assert "unit" not in one(tmp_path, queue="???")["data"]


def test_category_codes_are_slugs() -> None:
    assert category_code("Heat - Excessive  Insufficient") == "heat-excessive-insufficient"
    assert category_code("Unsatisfactory Utilities - Electrical  Plumbing") == (
        "unsatisfactory-utilities-electrical-plumbing"
    )
    assert category_code("Dumpster & Loading Noise Disturbances") == "dumpster-loading-noise-disturbances"


# ---- dirty rows -------------------------------------------------------------------------------------------

GOOD = line_of(case_enquiry_id="7")


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (line_of(case_enquiry_id=""), "case_enquiry_id", "missing"),
        (line_of(open_dt=""), "open_dt", "missing"),
        (line_of(open_dt="yesterday"), "open_dt", "not a time"),
        (line_of(open_dt="2015-04-13"), "open_dt", "not a local time"),
        (line_of(open_dt="2015-04-13T08:00:00Z"), "open_dt", "not a local time"),
        (line_of(open_dt="1969-04-13T08:00:00"), "open_dt", "not a local time"),
        (line_of(target_dt="2015-02-30T08:00:00"), "target_dt", "not a time"),
        (line_of(closed_dt="never"), "closed_dt", "not a time"),
        (line_of(type=""), "type", "missing"),
        (line_of(source="Carrier pigeon"), "source", "not known here"),
        (line_of(department="No Q"), "department", "no department"),
        (line_of(queue="a\x00b"), "queue", "control character"),
        (line_of().replace("\n", ",more\n"), "", "not as many values as columns"),
        ("101001354519,2015-04-13T00:53:53\n", "", "not as many values as columns"),
        (line_of(queue="QQ").replace("QQ", '"QQ'), "", "broken line"),  # an unclosed quote
        (line_of(queue="QQ").replace("QQ", '"Q"Q'), "", "broken line"),
        (line_of(queue="QQ").encode().replace(b"QQ", b"\xff\xfe"), "", "not UTF-8"),
        (line_of(queue="Q" * 70_000), "", "longer than 65536 bytes"),
        (line_of(queue="Q" * 200_000), "", "longer than 65536 bytes"),
    ],
)
def test_a_bad_row_is_kept_with_its_reason_and_costs_no_other(
    tmp_path: Path, bad: str | bytes, field: str, reason: str
) -> None:
    found, remarks = imported(file_of(tmp_path, GOOD, bad, "\n", GOOD))
    assert [event["id"] for event in found] == ["7-report", "7-report", "7-close", "7-close"]
    assert [(p.row, p.field, p.imported) for p in remarks] == [(3, field, False)]
    assert reason in remarks[0].reason and remarks[0].line


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"closed_dt": "2015-04-13T00:53:40"}, "closed_dt"),
        ({"closed_dt": "", "case_status": "Closed"}, "closed_dt"),
        ({"latitude": "north"}, "latitude"),
        ({"latitude": "nan"}, "latitude"),
        ({"longitude": "-200"}, "latitude"),
    ],
)
def test_an_odd_row_is_imported_with_a_remark(tmp_path: Path, changes: dict[str, str], field: str) -> None:
    found, remarks = imported(file_of(tmp_path, line_of(**changes)))
    assert [(p.row, p.field, p.imported) for p in remarks] == [(2, field, True)]
    report = next(event for event in found if event["type"] == boston311.REPORTED)
    assert ("position" in report["data"]) == (field != "latitude")


def test_a_closing_before_its_opening_keeps_its_time_and_comes_first(tmp_path: Path) -> None:
    found, _ = imported(file_of(tmp_path, line_of(closed_dt="2015-04-13T00:53:40")))
    assert [(event["id"][-6:], event["time"][11:19]) for event in found] == [
        ("-close", "00:53:40"),
        ("report", "00:53:53"),
    ]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "a,b,c\n",
        HEADER.replace("open_dt", "opened") + "\n",
        HEADER + ",ward\n",
        HEADER + ",sla_target_dt\n",  # which of the two deadlines?
    ],
)
def test_a_file_with_other_columns_is_refused_with_the_columns_it_needs(tmp_path: Path, header: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(header + line_of())
    with pytest.raises(NotBoston311, match=r"Name each of these 14 columns .* target_dt or sla_target_dt"):
        imported(path)


def test_the_columns_that_the_city_has_today_give_the_same_events(tmp_path: Path) -> None:
    path = tmp_path / "present.csv"
    present = {"sla_target_dt": CASE["target_dt"].replace("T", " "), "on_time": CASE["ontime"]}
    words = {"closure_reason": 'Case Closed, "resolved"', "case_title": "Sidewalk", "geom_4326": "0101000020E6"}
    columns = PRESENT_HEADER.split(",")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\r\n")
        writer.writeheader()
        writer.writerow(dict.fromkeys(columns, "") | CASE | present | words)
    assert imported(path) == imported(file_of(tmp_path, line_of()))


def test_a_column_of_neither_set_is_told_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text(f"{HEADER},mood\n{line_of().rstrip()},good\n")
    found, remarks = imported(path)
    assert found == imported(file_of(tmp_path, line_of()))[0]
    assert [(remark.row, remark.field, remark.imported) for remark in remarks] == [(1, "mood", True)]


# ---- codes of the pack ------------------------------------------------------------------------------------

KNOWN = Codes({"sidewalk-repair-make-safe"}, {"PWDx"})


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"type": "Space junk"}, "type", "Space junk"),
        ({"department": "No Q"}, "department", "No Q"),
        ({"department": "NASA"}, "department", "NASA"),
        ({"source": "Twitter"}, "source", "Twitter"),
    ],
)
def test_what_the_pack_does_not_know_stays_out_until_it_is_mapped(
    tmp_path: Path, changes: dict[str, str], field: str, value: str
) -> None:
    path = file_of(tmp_path, line_of(), line_of(case_enquiry_id="2", **changes))
    found, remarks = imported(path, codes=KNOWN)
    assert [(remark.field, remark.value, remark.imported) for remark in remarks] == [(field, value, False)]
    assert {event["data"].get("reference") for event in found} == {"101001354519", None}
    code = {"type": "sidewalk-repair-make-safe", "department": "PWDx", "source": "public"}[field]
    found, remarks = imported(path, codes=KNOWN._replace(mapped={(field, value): code}))
    assert remarks == [] and len(found) == 4
    [mapped] = [event["data"] for event in found if event["data"].get("reference") == "2"]
    assert mapped["category" if field == "type" else field] == code


def test_a_department_that_is_mapped_to_nothing_is_left_out(tmp_path: Path) -> None:
    path = file_of(tmp_path, line_of(department="No Q"))
    (report, _), remarks = imported(path, codes=KNOWN._replace(mapped={("department", "No Q"): ""}))
    assert remarks == [] and "department" not in report["data"]


def test_the_order_of_columns_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "spreadsheet.csv"
    columns = list(reversed(COLUMNS))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerow(dict.fromkeys(columns, "") | CASE)
    assert imported(path) == imported(file_of(tmp_path, line_of()))


def test_a_truncated_archive_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(SHIPPED.read_bytes()[:200_000])
    with pytest.raises(NotBoston311, match="breaks off after line"):
        imported(path)


def test_an_archive_is_known_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    packed = tmp_path / "cases"
    packed.write_bytes(gzip.compress((HEADER + "\n" + line_of()).encode()))
    assert imported(packed) == imported(file_of(tmp_path, line_of()))


# ---- order and size ---------------------------------------------------------------------------------------

TIMES = st.datetimes(datetime(2015, 4, 1), datetime(2015, 4, 2)).map(lambda t: t.isoformat(timespec="seconds"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(TIMES, TIMES), max_size=40), st.integers(1, 50))
def test_rows_in_any_order_come_out_in_time_order_whatever_fits_in_memory(
    tmp_path: Path, cases: list[tuple[str, str]], run: int
) -> None:
    lines = [line_of(case_enquiry_id=f"{n}", open_dt=o, closed_dt=c) for n, (o, c) in enumerate(cases)]
    found, _ = imported(file_of(tmp_path, *lines), run=run)
    key = [(e["time"], e["type"] == boston311.CLOSED, e["id"].partition("-")[0]) for e in found]
    assert key == sorted(key)
    wanted = {f"{n}-{what}" for n in range(len(cases)) for what in ("report", "close")}
    assert Counter(e["id"] for e in found) == dict.fromkeys(wanted, 1)


def test_more_runs_than_files_may_be_open_are_merged_in_turns(tmp_path: Path) -> None:
    lines = [line_of(case_enquiry_id=f"{n}", open_dt=f"2015-04-13T{n % 24:02}:00:00") for n in range(120)]
    path = file_of(tmp_path, *lines)
    assert imported(path, run=1) == imported(path)  # 240 runs, 64 at once


# ---- the whole record -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record() -> tuple[list[Envelope], list[ImportRemark]]:
    with gzip.open(SHIPPED, "rt", newline="") as file:
        precincts = {row["precinct"] for row in csv.DictReader(file)} - {""}
    tree = TREE | {f"P{p}": "D3W15" for p in precincts}
    remarks: list[ImportRemark] = []
    decoded = [decode_envelope(event) for event in events(SHIPPED, tree, remarks.append)]
    assert not [event for event in decoded if isinstance(event, Refusal)]
    return [event for event in decoded if isinstance(event, Envelope)], remarks


@pytest.mark.mechanism("M54")
def test_every_event_of_the_record_fits_the_contract(record: tuple[list[Envelope], list[ImportRemark]]) -> None:
    found, _ = record
    data = [decode_data(event) for event in found]
    assert Counter(type(d) for d in data) == {ReportSubmitted: 16_782, Closed: 14_545}
    assert len({(event.source, event.id) for event in found}) == 31_327
    assert len({event.subject for event in found}) == 16_782
    assert [event.time for event in found] == sorted(event.time for event in found)


def test_nothing_of_the_record_is_lost_and_its_oddities_are_remarked(
    record: tuple[list[Envelope], list[ImportRemark]],
) -> None:
    _, remarks = record
    assert all(p.imported for p in remarks)
    assert Counter(p.field for p in remarks) == {"closed_dt": 28}


def test_the_record_spilled_to_files_is_the_same_as_in_memory() -> None:
    whole = list(events(SHIPPED, TREE, lambda _: None))
    assert list(events(SHIPPED, TREE, lambda _: None, run=400)) == whole


def test_the_categories_of_the_record_keep_their_137_types_apart() -> None:
    with gzip.open(SHIPPED, "rt", newline="") as file:
        types = {row["type"] for row in csv.DictReader(file)}
    assert len(types) == len({category_code(name) for name in types}) == 137
