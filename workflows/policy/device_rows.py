"""The rows of device_types.csv, devices.csv and signals.csv, compiled."""

import re

from workflows.policy.csv_tables import Columns, Row, plain
from workflows.policy.devices import Device, DeviceType, SignalRule
from workflows.policy.register_rows import position_of
from workflows.policy.settings import no_duration, parse_duration

DEVICE_TYPES = Columns("device_types.csv", ("code", "title_zh"), ("title_en", "source", "basis"))
DEVICES = Columns(
    "devices.csv",
    ("code", "name", "type", "grid", "post"),
    ("site", "place", "lon", "lat", "valid_from", "valid_to"),
)
SIGNALS = Columns(
    "signals.csv",
    ("code", "title_zh", "test", "category"),
    (
        "title_en",
        "type",
        "quantity",
        "threshold",
        "back_at",
        "worse",
        "hold_down",
        "debounce",
        "severity",
        "check",
        "rest",
        "basis",
    ),
)
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?", re.ASCII)


def device_type_row(row: Row) -> DeviceType:
    """A row of device_types.csv. A type without an English title is called by the Chinese one."""
    return DeviceType(
        code=row.code("code"),
        title_zh=row.needed("title_zh"),
        title_en=row.text("title_en") or row.text("title_zh"),
        source="camera" if row.choice("source", ("", "sensor", "camera")) == "camera" else "sensor",
        basis=row.text("basis"),
    )


def device_row(row: Row) -> Device:
    """A row of devices.csv."""
    lon, lat = position_of(row)
    return Device(
        code=row.code("code"),
        name=row.needed("name"),
        type=row.word("type"),
        grid=row.word("grid"),
        post=row.word("post"),
        site=row.word("site"),
        place=row.word("place"),
        lon=lon,
        lat=lat,
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
    )


def signal_row(row: Row) -> SignalRule:
    """A row of signals.csv. A rule without an English title is called by the Chinese one."""
    test = row.choice("test", ("above", "below", "silent"))

    def number(column: str, text: str) -> str:
        if text and not NUMBER.fullmatch(text):
            row.bad(column, f"{text!r} is no exact number", "write it as 150 or 0.75")
            return ""
        return text

    def duration(column: str) -> int:
        text = plain(row.text(column))
        found = parse_duration(text) if text else 0
        if found is None:
            row.bad(column, *no_duration(text))
        return found or 0

    return SignalRule(
        code=row.code("code"),
        title_zh=row.needed("title_zh"),
        title_en=row.text("title_en") or row.text("title_zh"),
        test="below" if test == "below" else "silent" if test == "silent" else "above",
        category=row.word("category"),
        type=row.word("type"),
        quantity=row.word("quantity"),
        threshold=number("threshold", plain(row.text("threshold"))),
        back_at=number("back_at", plain(row.text("back_at"))),
        worse=tuple(number("worse", text) for text in row.words("worse")),
        hold_down_ms=duration("hold_down"),
        debounce_ms=duration("debounce"),
        severity=row.number_in("severity", 1),
        check=row.yes("check"),
        rest_ms=duration("rest"),
        basis=row.text("basis"),
    )
