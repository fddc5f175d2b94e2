"""Large answers of the door: compressed for whoever takes it, and not sent again where nothing has changed."""

from __future__ import annotations

import gzip

import httpx
import pytest

from engine.http.small_answers import is_known, tag_of, takes_gzip
from tests.integration.test_door import door, url
from tests.support.serving import Served

__all__ = ["door", "url"]


def raw(door: Served, route: str, **headers: str) -> httpx.Response:
    """An answer as it came over the wire."""
    plain = {"Accept-Encoding": "identity"}
    with door.client.stream("GET", route, headers=plain | {n.replace("_", "-"): v for n, v in headers.items()}) as sent:
        sent.read_raw = b"".join(sent.iter_raw())  # type: ignore[attr-defined]
        return sent


def body(answer: httpx.Response) -> bytes:
    return answer.read_raw  # type: ignore[attr-defined]


def test_the_description_is_a_fifth_of_its_size_for_whoever_takes_gzip(door: Served) -> None:
    plain, packed = raw(door, "/openapi.json"), raw(door, "/openapi.json", Accept_Encoding="br, gzip")
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(body(packed)) < len(body(plain)) / 5
    assert gzip.decompress(body(packed)) == body(plain)
    assert {plain.headers["vary"], packed.headers["vary"]} == {"Accept-Encoding"}
    assert plain.headers["etag"] == packed.headers["etag"]


def test_what_has_not_changed_is_not_sent_again(door: Served) -> None:
    first = raw(door, "/v1/incidents?open=all")
    again = raw(door, "/v1/incidents?open=all", If_None_Match=f'"other", {first.headers["etag"]}')
    assert (again.status_code, body(again)) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"] and "content-length" not in again.headers
    assert again.headers["cache-control"] == "private, no-cache"
    other = raw(door, "/v1/incidents?open=all&limit=2", If_None_Match=first.headers["etag"])
    assert other.status_code == 200 and other.headers["etag"] != first.headers["etag"]
    as_csv = raw(door, "/v1/incidents?open=all", Accept="text/csv", If_None_Match=first.headers["etag"])
    assert as_csv.status_code == 200 and as_csv.headers["vary"] == "Accept, Accept-Encoding"


def test_head_has_the_headers_of_get(door: Served) -> None:
    head = door.client.head("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert head.headers["content-encoding"] == "gzip" and head.headers["etag"] and head.content == b""


def test_what_is_small_a_problem_and_a_stream_are_left_alone(door: Served) -> None:
    for route in ("/healthz", "/v1/incidents?grid=NOWHERE"):
        answer = raw(door, route, Accept_Encoding="gzip")
        assert "content-encoding" not in answer.headers and "etag" not in answer.headers
    with door.client.stream("GET", "/v1/alerts/stream", headers={"Accept-Encoding": "gzip"}) as stream:
        assert "content-encoding" not in stream.headers and next(stream.iter_lines()).startswith("retry:")


def test_the_page_of_metrics_is_compressed_and_has_no_tag(door: Served) -> None:
    page = raw(door, "/metrics", Accept_Encoding="gzip")
    assert page.headers["content-encoding"] == "gzip" and "etag" not in page.headers


@pytest.mark.parametrize(
    ("asked", "takes"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("", False),
        ("gzipped", False),
    ],
)
def test_who_takes_gzip(asked: str, takes: bool) -> None:
    assert takes_gzip(asked) == takes


def test_the_passing_of_time_alone_changes_no_tag_and_a_deadline_that_passes_does() -> None:
    page = (
        b'{"incidents":[{"overdue":%s,"overdue_ms":%d,"clocks":[{"remaining":{"ms":%d},"paused":false}]}],"as_of":"%s"}'
    )
    first, later, late = (
        page % values for values in ((b"false", 0, 9, b"a"), (b"false", 0, 8, b"b"), (b"true", 1, -1, b"c"))
    )
    tags = [tag_of("application/json", each) for each in (first, later, late)]
    assert tags[0] == tags[1] != tags[2]
    assert tag_of("text/csv", first) != tag_of("text/csv", later)
    assert is_known(tags[0], "*") and not is_known(tags[0], "") and is_known(tags[0], tags[0].removeprefix("W/"))


def test_figures_of_a_running_month_have_the_same_tag_until_something_happens() -> None:
    page = b'{"rows":[{"n":%d}],"as_of":"%s","reading":"now","standing_at":"%s","standing_reading":"now"}'
    first, later, more = (page % values for values in ((1, b"a", b"a"), (1, b"b", b"b"), (2, b"c", b"c")))
    tags = [tag_of("application/json", each) for each in (first, later, more)]
    assert tags[0] == tags[1] != tags[2]
