"""Instants as the door writes them: whatever a case holds can be shown."""

from __future__ import annotations

from datetime import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from engine.views.names import Names
from schemas.envelope import to_ms
from tests.support.builders import at, instant, weiyang


@given(st.integers(-(2**63), 2**63 - 1))
@example(253_402_300_799_000)  # 9999-12-31T23:59:59Z: a year 10000 in Xi'an
@example(-62_135_596_800_000)  # 0001-01-01T00:00:00Z
def test_no_instant_whatever_fails_to_be_written(ms):
    assert datetime.fromisoformat(Names(weiyang()).instant(ms)).tzinfo


def test_an_instant_that_can_be_spelled_is_written_as_it_is():
    ms = at("03-02 09:00") + 7
    assert Names(weiyang()).maybe(ms) == instant(ms)
    assert to_ms(datetime.fromisoformat(Names(weiyang()).instant(ms))) == ms
