"""Which labels the result of a PromQL expression has, and whether every metric and label in it exists.

Enters: an expression, and the labels of every metric that there is. Leaves: labels, or `Unknown` with the name.
Prometheus itself accepts any name: a rule on a metric that nobody exports is silent for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import promql_parser
from promql_parser import AggModifierType, LabelModifierType, VectorMatchCardinality

Labels = frozenset[str]

NONE: Labels = frozenset()
SCRAPED = frozenset({"job", "instance"})
"""What Prometheus puts on whatever it scrapes."""
PROMETHEUS: dict[str, Labels] = {
    "up": SCRAPED,
    "ALERTS": frozenset({"alertname", "alertstate"}),
}
"""Series that Prometheus makes itself. Labels of ALERTS are those of the rules beside these."""


class Unknown(Exception):
    """A metric or label that there is not."""


def labels(expression: str, known: Mapping[str, Labels]) -> Labels:
    """The labels of the result. `known`: metric -> labels, without those of scraping unless they are meant."""
    return _of(promql_parser.parse(expression), known)


def _of(expr: Any, known: Mapping[str, Labels]) -> Labels:
    kind = type(expr).__name__
    if kind in ("NumberLiteral", "StringLiteral"):
        return NONE
    if kind == "VectorSelector":
        return _selected(expr, known)
    if kind == "MatrixSelector":
        return _selected(expr.vector_selector, known)
    if kind in ("ParenExpr", "UnaryExpr", "SubqueryExpr"):
        return _of(expr.expr, known)
    if kind == "Call":
        return _called(expr, known)
    if kind == "AggregateExpr":
        return _aggregated(expr, known)
    if kind == "BinaryExpr":
        return _joined(expr, known)
    raise Unknown(f"{kind} is not understood here: {expr.prettify()}")


def _selected(expr: Any, known: Mapping[str, Labels]) -> Labels:
    if expr.name not in known:
        raise Unknown(f"metric {expr.name}")
    here = known[expr.name]
    _check(expr.name, (matcher.name for matcher in expr.matchers.matchers), here)
    return here


def _called(expr: Any, known: Mapping[str, Labels]) -> Labels:
    found = [_of(argument, known) for argument in expr.args]
    name = expr.func.name
    if name in ("absent", "absent_over_time", "scalar", "time", "vector"):
        return NONE
    if name == "histogram_quantile":
        _check(name, ["le"], found[1])
        return found[1] - {"le"}
    return frozenset().union(*found)


def _aggregated(expr: Any, known: Mapping[str, Labels]) -> Labels:
    inner = _of(expr.expr, known)
    named = frozenset(expr.modifier.labels) if expr.modifier else NONE
    _check(expr.prettify(), named, inner)
    if str(expr.op) in ("topk", "bottomk"):
        return inner
    if expr.modifier and expr.modifier.type == AggModifierType.Without:
        return inner - named
    return named


def _joined(expr: Any, known: Mapping[str, Labels]) -> Labels:
    left, right = _of(expr.lhs, known), _of(expr.rhs, known)
    modifier = expr.modifier
    if modifier is None or modifier.matching is None:
        return left | right
    matched = frozenset(modifier.matching.labels)
    _check(expr.prettify(), matched, left & right)
    if modifier.card != VectorMatchCardinality.OneToOne:
        return left | right
    return matched if modifier.matching.type == LabelModifierType.Include else left - matched


def _check(where: str, names: Any, here: Labels) -> None:
    for name in sorted(names):
        if name not in here:
            raise Unknown(f"label {name} of {where}: there are {', '.join(sorted(here)) or 'none'}")
