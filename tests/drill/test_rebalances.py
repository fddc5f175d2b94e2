"""Workers of the fold come and go under load, ten in order and ten by kill -9: the figures stay exact.

In: Apache Kafka, PostgreSQL and the roles as processes. Out: the judge's verdict, a recount of all figures among it.
"""

from __future__ import annotations

from pathlib import Path

from lab.chaos.run import rebalances
from tests.drill.test_chaos import RATE, check, pytestmark

__all__ = ["pytestmark"]


def test_figures_are_exact_after_ten_workers_of_the_fold_left_in_order_and_ten_were_killed(tmp_path: Path) -> None:
    check(rebalances(tmp_path, 9, 10, 10, RATE))
