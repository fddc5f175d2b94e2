"""Rows of the city's record with dirt in them: each is answered, or kept with its reason."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gridpatrol.importers import boston311
from gridpatrol.importers.boston311 import SHIPPED, ImportRemark
from lab.runs import check_whole, engine_on
from tests.city.outcomes import EXPORT, cases_of, replay_city, tree

Change = Callable[[dict[str, str]], None]
DIRT: dict[str, Change] = {
    "a type that the pack does not know": lambda row: row.update(type="Dragon Sighting"),
    "no opening": lambda row: row.update(open_dt=""),
    "an opening that is no time": lambda row: row.update(open_dt="yesterday"),
    "an unknown source": lambda row: row.update(source="Pigeon"),
    "a department that the pack does not know": lambda row: row.update(department="XXXX"),
    "no department": lambda row: row.update(department="", queue=""),
    "a precinct that is not in the tree": lambda row: row.update(precinct="9999"),
    "no place at all": lambda row: row.update(precinct="", ward="", city_council_district=""),
    "a district outside": lambda row: row.update(city_council_district="0", precinct="", ward=""),
    "a position that is none": lambda row: row.update(latitude="999", longitude="abc"),
    "closed two days before it opened": lambda row: row.update(closed_dt="2015-04-11T08:00:00"),
    "closed weeks before it opened": lambda row: row.update(closed_dt="2015-03-11T08:00:00"),
    "a target at the opening": lambda row: row.update(target_dt=row["open_dt"]),
    "a ward spelled out": lambda row: row.update(ward="Ward 3"),
    "a ward with a zero": lambda row: row.update(ward="03"),
    "closed without an instant": lambda row: row.update(case_status="Closed", closed_dt=""),
}


def dirty_file(path: Path, count: int = 170) -> Path:
    """The first rows of the record, each tenth with some dirt, one of them twice, one broken off."""
    with gzip.open(SHIPPED, "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for _, row in zip(range(count), reader, strict=False)]
    for number, change in enumerate(DIRT.values()):
        change(rows[number * 10])
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([*rows, rows[5], rows[6] | {"target_dt": "2016-01-01T00:00:00"}])
    path.write_text(out.getvalue() + '101001,"broken\n', encoding="utf-8")
    return path


def test_every_dirty_row_is_answered_or_kept_with_its_reason(sqlite_url: str, tmp_path: Path) -> None:
    remarks: list[ImportRemark] = []
    path = dirty_file(tmp_path / "dirty.csv")
    lines = list(boston311.events(path, tree(), remarks.append))
    kept_out = [remark for remark in remarks if not remark.imported]
    assert len(kept_out) == 4 and all(remark.reason and remark.line for remark in kept_out)
    with engine_on(sqlite_url) as engine:
        result = replay_city(engine, lines, EXPORT)
        assert result.lines == sum(result.outcomes.values()) + result.rejected == len(lines)
        with engine.database.read() as connection:
            letters = connection.exec_driver_sql("SELECT reason, field, detail, event_id FROM dead_letters").all()
            waiting = connection.exec_driver_sql("SELECT count(*) FROM seen WHERE outcome = 'parked'").scalar_one()
        reasons = Counter((reason, field) for reason, field, _, _ in letters)
        reports = {letter[3].partition("-")[0] for letter in letters if letter[3].endswith("-report")}
        closings = {letter[3].partition("-")[0] for letter in letters if letter[3].endswith("-close")}
        assert all(detail for _, _, detail, _ in letters)
        assert reasons["unknown_code", "data.category"] == 1 and reasons["conflict", "id"] >= 1
        assert reasons["unknown_code", "data.department"] == 1
        assert waiting == 0
        found = cases_of(engine)
        cases = {json.loads(line)["data"]["reference"] for line in lines if b'-report"' in line}
        lost = cases - set(found)
        assert len(lost) == 2 and lost <= reports  # the unknown type and the unknown department
        [vain] = closings - lost  # waited seven days for an opening that came weeks later
        assert found[vain].result == "" and ("expired", "type") in reasons
        check_whole(engine)
