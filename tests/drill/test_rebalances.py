"""Workers of the fold come and go under load, five in order and five by kill -9: the figures stay exact.

`make chaos-cluster ONLY=performance` does it twice as often.

In: Apache Kafka, PostgreSQL and the roles as processes. Out: the judge's verdict, a recount of all figures among it.
"""

from __future__ import annotations

from pathlib import Path

from lab.chaos.run import rebalances
from tests.drill.test_chaos import RATE, check, pytestmark

__all__ = ["pytestmark"]


def test_figures_are_exact_after_five_workers_of_the_fold_left_in_order_and_five_were_killed(tmp_path: Path) -> None:
    check(rebalances(tmp_path, 9, 5, 5, RATE))
