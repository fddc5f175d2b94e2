"""The whole record without the city's targets: the pack's own limits give them back.

In: the reports of 16,782 cases, judged by the rules of the shipped pack. Out: the engine's deadline of each case, held
against the city's target, and type by type against the judge's own reading of the published rules.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from lab.runs import engine_on
from tests.city import judge
from tests.city.outcomes import CaseFacts, cases_of, record, replay_city

RULES = judge.rules(Path(judge.__file__).parent / "sla_rules.csv")
LAST_REPORT = judge.utc_ms(datetime(2015, 6, 1))


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CaseFacts]]:
    """Every case with the deadline that the engine computed."""
    with engine_on(f"sqlite:///{tmp_path_factory.mktemp('city') / 'pack.db'}") as engine:
        replay_city(engine, record("pack"), LAST_REPORT)
        yield cases_of(engine)


def off_s(case: judge.Case, found: CaseFacts) -> float:
    """The city's target minus the engine's deadline, in seconds."""
    assert case.target is not None and found.due is not None
    return (case.target - found.due) / 1000


@pytest.fixture(scope="module")
def ruled(cases: list[judge.Case]) -> list[judge.Case]:
    """The 13,670 cases whose type has a rule, and that have a target."""
    found = [case for case in cases if case.type in RULES and case.target is not None]
    assert len(found) == 13_670
    return found


def test_the_pack_gives_back_969_of_1000_deadlines_within_a_minute(
    computed: dict[str, CaseFacts], ruled: list[judge.Case]
) -> None:
    assert len(computed) == 16_782
    within = sum(abs(off_s(case, computed[case.number])) <= 60 for case in ruled)
    assert within == 13_255 and within / len(ruled) >= 0.969
    assert sum(off_s(case, computed[case.number]) == 0 for case in ruled) == 7_898


def test_each_deadline_is_the_one_that_the_judge_reads_out_of_the_rule(
    computed: dict[str, CaseFacts], cases: list[judge.Case]
) -> None:
    for case in cases:
        rule = RULES.get(case.type)
        wanted = judge.utc_ms(judge.deadline(case.opened_local, rule.unit, rule.days)) if rule else None
        assert computed[case.number].due == wanted, case


def test_the_shares_of_each_type_are_the_judge_s_with_reasons_for_the_rest(
    computed: dict[str, CaseFacts], ruled: list[judge.Case]
) -> None:
    shares = judge.shares(ruled, RULES)
    exact, within, deadlines = Counter[str](), Counter[str](), Counter[str]()
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for case in ruled:
        off = abs(off_s(case, computed[case.number]))
        deadlines[case.type] += 1
        exact[case.type] += off == 0
        within[case.type] += off <= 60
        if off > 60:
            reasons[case.type][judge.reason(case, RULES)] += 1
    assert set(shares) == set(RULES) and len(shares) == 77
    for name, share in shares.items():
        assert (deadlines[name], exact[name], within[name]) == share[:3], name
        assert reasons[name] == share.reasons, name
        assert within[name] / deadlines[name] == pytest.approx(RULES[name].within_60s, abs=6e-5)
    assert sum(sum(counts.values()) for counts in reasons.values()) == 13_670 - 13_255


def test_types_without_a_rule_have_no_deadline_of_the_pack(
    computed: dict[str, CaseFacts], cases: list[judge.Case]
) -> None:
    without = [case for case in cases if case.type not in RULES]
    assert len(without) == 16_782 - sum(case.type in RULES for case in cases) > 1_000
    assert all(computed[case.number].outcome == "without_deadline" for case in without)
