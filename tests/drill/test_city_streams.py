"""The whole record on PostgreSQL, and told badly: doubled, and delayed within the offline allowance.

Every case has the outcome, the deadline and the duration that it has when it is told well.
"""

from __future__ import annotations

from consumers.performance import consume
from lab.runs import check_whole, engine_on
from tests.city import judge
from tests.city.outcomes import EXPORT, KEYS, CaseFacts, cases_of, figures_by, kinds, record, replay_city
from tests.city.past import INSTANTS, check_as_of, check_figures, read_rows
from tests.city.streams import OFFLINE_S, delayed, doubled


def check_outcomes(found: dict[str, CaseFacts], cases: list[judge.Case], at: int) -> None:
    """Every case ends as the judge says."""
    assert len(found) == len(cases)
    for case in cases:
        facts = found[case.number]
        assert (facts.outcome, facts.due, facts.started) == (judge.outcome(case, at), case.target, case.opened), case
        assert facts.elapsed == (None if case.stopped is None else case.stopped - case.opened), case


def test_the_record_on_postgresql_has_the_same_outcomes_and_figures_then_and_as_of_then(
    cases: list[judge.Case], postgres_url: str
) -> None:
    with engine_on(postgres_url, consumers=[consume.consume]) as engine:
        replay_city(engine, record(), EXPORT)
        found = cases_of(engine)
        check_outcomes(found, cases, EXPORT)
        alerts = {number: case.alerts for number, case in found.items() if case.alerts}
        assert alerts == {number: [at] for number, at in judge.due_alerts(cases, EXPORT).items()}
        for by, key in KEYS.items():
            assert figures_by(engine, by) == judge.figures_by(cases, EXPORT, key)
        for then in INSTANTS:
            check_figures(engine, cases, then)
            with engine.database.read() as connection:
                check_as_of(connection, read_rows(), then)


def test_told_twice_everything_is_answered_and_counts_once(cases: list[judge.Case], sqlite_url: str) -> None:
    with engine_on(sqlite_url) as engine:
        result = replay_city(engine, doubled(record()), EXPORT)
        assert result.lines == sum(result.outcomes.values()) == 2 * 31_327
        assert result.outcomes == {"done": 31_327 - 28, "parked": 28, "duplicate": 31_327}
        assert kinds(engine)["event"] == 2 * 31_327
        found = cases_of(engine)
        check_outcomes(found, cases, EXPORT)
        alerts = {number: case.alerts for number, case in found.items() if case.alerts}
        assert alerts == {number: [at] for number, at in judge.due_alerts(cases, EXPORT).items()}
        check_whole(engine)


def test_told_up_to_three_days_late_every_case_ends_the_same(cases: list[judge.Case], sqlite_url: str) -> None:
    end = EXPORT + OFFLINE_S * 1000
    with engine_on(sqlite_url) as engine:
        result = replay_city(engine, delayed(record(), seed=311), end)
        assert result.lines == sum(result.outcomes.values()) == 31_327
        assert set(result.outcomes) == {"done", "parked"} and result.outcomes["parked"] > 100
        found = cases_of(engine)
        check_outcomes(found, cases, end)
        check_alerts_of_late_news(found, judge.due_alerts(cases, end))


def check_alerts_of_late_news(found: dict[str, CaseFacts], wanted: dict[str, int]) -> None:
    """Nobody who had to be told was forgotten; who was told too much heard of it: once, contradicted and withdrawn."""
    alerts = {number: case.alerts for number, case in found.items() if case.alerts}
    assert set(wanted) - set(alerts) == {n for n in wanted if not found[n].breaches}
    for number in set(wanted) & set(alerts):
        assert alerts[number] == [wanted[number]] and not found[number].contradicted
    extra = set(alerts) - set(wanted)
    assert extra, "no closing came after its deadline's rung although it was in time: this tests nothing"
    for number in extra:
        case = found[number]
        assert (case.outcome, case.contradicted, case.ended) == ("on_time", 1, ["withdrawn"])
