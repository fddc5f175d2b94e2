"""Alarms over pages that a process really told: Prometheus' own evaluator reads them as scrapes at set instants.

Enters: metrics pages by job, each for some scrapes. Leaves: which alarms fire at an instant, by promtool alone.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gridpatrol.ops_files import FOLDER

RULES = FOLDER / "prometheus" / "rules.yml"
ASKED = set(re.findall(r"\b(?:gridpatrol|process)_\w+", RULES.read_text(encoding="utf-8")))
"""The metrics that rules ask for: no others are read."""
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'

Scrape = Mapping[str, str]
"""Job -> page. A job that is not there does not answer."""


def series_of(scrapes: Sequence[Scrape]) -> dict[str, list[str]]:
    """Series as the file of a rule test has it -> its value at each scrape, `_` where it has none."""
    jobs = sorted({job for scrape in scrapes for job in scrape})
    found: dict[str, list[str]] = {}
    read: dict[str, list[tuple[str, str]]] = {}
    for number, scrape in enumerate(scrapes):
        for job in jobs:
            up = f'up{{job="{job}",instance="{job}"}}'
            found.setdefault(up, ["0"] * len(scrapes))[number] = str(int(job in scrape))
            page = scrape.get(job, "")
            if page not in read:
                read[page] = list(samples(page))
            for name, value in read[page]:
                key = name.replace("{", f'{{job="{job}",instance="{job}",', 1).replace(",}", "}")
                # What a page no longer has is stale at once, as after a scrape without it.
                values = found.setdefault(key, ["_"] * number + ["stale"] * (len(scrapes) - number))
                values[number] = value
    return found


def samples(page: str) -> Iterable[tuple[str, str]]:
    """The samples that rules ask for: name with labels, and value as a rule test writes it."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in ASKED:
                labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                value = "NaN" if math.isnan(sample.value) else repr(sample.value)
                yield f"{sample.name}{{{labels}}}", value


def firing(
    promtool: str, folder: Path, cases: Mapping[str, Sequence[Scrape]], every_s: int, at_s: Sequence[int]
) -> dict[str, set[str]]:
    """Which alarms of each case fire at any of these instants, in seconds since its first scrape."""
    tests = [
        {
            "name": name,
            "interval": f"{every_s}s",
            "input_series": [
                {"series": series, "values": " ".join(values)} for series, values in series_of(scrapes).items()
            ],
            "promql_expr_test": [{"expr": FIRING, "eval_time": f"{at}s", "exp_samples": []} for at in at_s],
        }
        for name, scrapes in cases.items()
    ]
    found: dict[str, set[str]] = {}
    for test in tests:  # one at a time: what promtool complains about names no test
        document = {"rule_files": [str(RULES)], "evaluation_interval": f"{every_s}s", "tests": [test]}
        (file := folder / "alarms.yml").write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML, and quick
        done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=300)
        told = done.stdout + done.stderr
        found[str(test["name"])] = set(re.findall(r'alertname="(\w+)"', told))
        assert (done.returncode == 0) == (not found[str(test["name"])]), told
    return found
