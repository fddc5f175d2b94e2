"""Quotas of a principal: what may be spent, when there is more, and that one principal's spending is his own."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from engine import admission
from engine.errors import SettingsError
from engine.principals import LOCAL, Principal
from engine.quotas import LETTER_BYTES, OverQuota, Quota, Quotas
from schemas.envelope import decode_record
from tests.support.builders import MEMBER, event
from tests.support.rewriting import written_down
from tests.unit.test_principals import read

FEW = Quota(events_per_s=2, events_burst=10, refused_per_s=0.5, refused_burst=3, batches=2)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass, and nothing else does."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def test_after_a_burst_events_are_taken_at_their_rate(later: Callable[[float], None]) -> None:
    quotas = Quotas()
    for _ in range(10):
        quotas.check_events("app", FEW)
    with pytest.raises(OverQuota, match="app has sent more events than it may: 2 events per second") as raised:
        quotas.check_events("app", FEW)
    assert (raised.value.quota, raised.value.wait_s) == ("events_per_s", 1)
    quotas.check_events("neighbour", FEW)
    later(0.5)
    quotas.check_events("app", FEW)
    with pytest.raises(OverQuota):
        quotas.check_events("app", FEW)
    later(3600)
    for _ in range(10):
        quotas.check_events("app", FEW)
    with pytest.raises(OverQuota):
        quotas.check_events("app", FEW)


def test_a_batch_may_overdraw_and_is_paid_back_before_the_next(later: Callable[[float], None]) -> None:
    quotas = Quotas()
    quotas.check_events("app", FEW)
    quotas.spend_events("app", FEW, 99)
    with pytest.raises(OverQuota) as raised:
        quotas.check_events("app", FEW)
    assert raised.value.wait_s == 46  # 90 are owed, and one is wanted
    later(45)
    with pytest.raises(OverQuota):
        quotas.check_events("app", FEW)
    later(1)
    quotas.check_events("app", FEW)


def test_who_is_told_when_to_come_again_is_taken_then(later: Callable[[float], None]) -> None:
    for number in (0, 1, 9, 10, 500):
        quotas = Quotas()
        quotas.spend_events("app", FEW, 10 + number)
        with pytest.raises(OverQuota) as raised:
            quotas.check_events("app", FEW)
        later(raised.value.wait_s)
        quotas.check_events("app", FEW)


def test_refused_events_are_kept_by_number_and_bytes_and_then_no_more(later: Callable[[float], None]) -> None:
    quotas = Quotas()
    assert [quotas.may_keep("app", FEW, 100) for _ in range(4)] == [True, True, True, False]
    assert quotas.may_keep("neighbour", FEW, 50 * LETTER_BYTES), "one may overdraw"
    assert not quotas.may_keep("neighbour", FEW, 0)
    later(2)
    assert [quotas.may_keep("app", FEW, 100) for _ in range(2)] == [True, False]
    assert not quotas.may_keep("neighbour", FEW, 0)
    later(100)
    assert quotas.may_keep("neighbour", FEW, 0)


def test_so_many_batches_are_in_flight_and_one_that_ends_in_an_error_is_over() -> None:
    quotas = Quotas()
    with quotas.batch("app", FEW), quotas.batch("app", FEW), quotas.batch("neighbour", FEW):
        with pytest.raises(OverQuota, match="2 batches") as raised, quotas.batch("app", FEW):
            pass
        assert raised.value.quota == "batches"
    with pytest.raises(ValueError, match="defect"), quotas.batch("app", FEW):
        raise ValueError("defect")
    with quotas.batch("app", FEW), quotas.batch("app", FEW):
        pass


def test_a_door_without_tokens_has_no_limit_but_that_of_refused_events() -> None:
    quotas = Quotas()
    quotas.spend_events(LOCAL.name, LOCAL.quota, 10**9)
    quotas.check_events(LOCAL.name, LOCAL.quota)
    kept = sum(quotas.may_keep(LOCAL.name, LOCAL.quota, 0) for _ in range(6000))
    assert 5000 <= kept < 6000


def test_quotas_stand_in_the_file_beside_the_rights(tmp_path) -> None:
    known = read(tmp_path, "[principal.app]\nevents_per_s = 5\nstreams = 0\n[principal.ops]\noperator = true")
    app, ops = known.named("app"), known.named("ops")
    assert app == Principal("app", quota=Quota(events_per_s=5, streams=0))
    assert ops is not None and ops.quota == Quota()


@pytest.mark.parametrize("line", ["events_per_s = -1", "events_burst = 0", "batches = 1.5", "streams = true"])
def test_a_quota_that_cannot_be_is_named(tmp_path, line: str) -> None:
    with pytest.raises(SettingsError, match=rf"principal\.app.*{line.split()[0]}"):
        read(tmp_path, f"[principal.app]\n{line}")


@pytest.mark.parametrize(("principal", "stamped"), [("app", ("app", 7)), ("local", ("", 0))])
def test_a_door_writes_on_the_record_whose_event_it_is_and_how_many_of_his_may_wait(
    principal: str, stamped: tuple[str, int]
) -> None:
    sender = LOCAL if principal == LOCAL.name else Principal(principal, patterns=("*",), quota=Quota(parked=7))
    received = admission.admit(written_down(event("comment.added", MEMBER, 1_800_000_000_000)), sender, 1)
    assert isinstance(received, tuple), received
    record = decode_record(received[0].body)
    assert (record.principal, record.parked) == stamped
