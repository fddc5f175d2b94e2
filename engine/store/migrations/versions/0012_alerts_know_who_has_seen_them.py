"""Who has acknowledged an alert stands beside its state, and so does the department that had to act.

Revision 0012, after 0011.
An acknowledged alert fires on: it has been seen by the post that the fact names, and by nobody else. Of the cases whose
clocks still run, the body keeps which rungs told whom and who has seen them. All of it follows from the stored facts.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

PAGE = 500
ACKNOWLEDGED, OPEN = 16, 17
"""Places of two flags in a clock of a case."""


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.add_column('alerts', sa.Column('acknowledged_by', bytes_, server_default='[]', nullable=False))
    op.add_column('alerts', sa.Column('department', bytes_, server_default='', nullable=False))
    connection = op.get_bind()
    connection.exec_driver_sql(
        'UPDATE alerts SET department = coalesce((SELECT min(f.department) FROM facts f WHERE f.case_id = alerts.case_id '
        "AND f.at = alerts.raised_at AND replace(f.body, alerts.id, '') <> f.body), '')"
    )
    connection.exec_driver_sql(
        "UPDATE alerts SET status = 'firing', ended_at = NULL, ended_by = '' WHERE status = 'acknowledged'"
    )
    read = connection.exec_driver_sql("SELECT partition, n FROM positions WHERE consumer = 'alerts'")
    positions = {int(partition): int(n) for partition, n in read}
    of_alert = sa.text('UPDATE alerts SET acknowledged_by = :posts WHERE id = :id')
    of_case = sa.text('UPDATE cases SET body = :body WHERE id = :id')
    for cases in pages(
        "SELECT DISTINCT case_id FROM facts WHERE body LIKE '%\"incident.acknowledged\"%' AND case_id > :after"
    ):
        seen = [
            {'id': alert, 'posts': msgspec.json.encode(sorted(posts)).decode()}
            for each in folded(cases, positions).values()
            for alert, posts in each.seen.items()
        ]
        if seen:
            connection.execute(of_alert, seen)
    flagged = "SELECT id FROM cases WHERE open AND (body LIKE '%true]%' OR body LIKE '%true,false]%') AND id > :after"
    for cases in pages(flagged):
        found = sa.text('SELECT id, body FROM cases WHERE id IN :ids').bindparams(sa.bindparam('ids', expanding=True))
        bodies, alerts = connection.execute(found, {'ids': cases}).all(), folded(cases)
        connection.execute(
            of_case, [{'id': id_, 'body': with_alerts(body, alerts.get(id_, Alerts()))} for id_, body in bodies]
        )


def downgrade() -> None:
    """The release before passes over what bodies have of it."""
    for name in ('department', 'acknowledged_by'):
        op.drop_column('alerts', name)


class Alerts:
    """What the facts of a case say of its alerts."""

    def __init__(self) -> None:
        self.rungs: list[list[Any]] = []  # as the case keeps them
        self.targets: dict[tuple[str, int], int] = {}
        self.open: set[tuple[str, int]] = set()
        self.raised: list[tuple[tuple[str, int, int], str, list[str]]] = []  # (clock, level, cycle), id and posts of those that fire
        self.seen: dict[str, list[str]] = {}  # who has acknowledged an alert

    def fold(self, fact: dict[str, Any]) -> None:
        tag, clock, level = fact['fact'], fact.get('clock', ''), fact.get('level', 0)
        if tag in ('clock.started', 'clock.retargeted'):
            self.targets[clock, level] = fact.get('target', 0)
        if tag == 'alert.raised':
            self.raise_(fact, clock, level)
        elif tag.endswith('.acknowledged') and fact.get('rung'):
            self.acknowledge(fact, clock, level)
        elif tag == 'alert.ended' and fact['how'] == 'acknowledged':  # by the first, of all that nobody had seen
            by = fact.get('by', '')
            for rung in self.rungs:
                if rung[:2] == [clock, level] and not rung[6]:
                    rung[6] = [[by, None]]
            for key, alert, _ in self.raised:
                if key == (clock, level, fact['cycle']):
                    self.seen.setdefault(alert, [by])
        elif tag in ('alert.ended', 'clock.stopped', 'clock.retargeted'):
            self.rungs = [rung for rung in self.rungs if rung[:2] != [clock, level]]
            self.open.discard((clock, level))
            if tag != 'clock.retargeted':
                ended = (clock, level, fact['cycle'])
                over = tag == 'clock.stopped' and clock == 'total'
                self.raised = [each for each in self.raised if each[0] != ended and not over]

    def raise_(self, fact: dict[str, Any], clock: str, level: int) -> None:
        cycle = 0 if fact['kind'] == 'urge' else int(fact['alert'].split('|')[2])
        self.raised.append(((clock, level, cycle), fact['alert'], fact['to']))
        if (clock, level) not in self.targets:
            return
        self.open.add((clock, level))
        key = [clock, level, self.targets[clock, level], fact['kind']]
        for rung in self.rungs:
            if rung[:4] == key:
                rung[5] = list(dict.fromkeys([*rung[5], *fact['to']]))
                return
        self.rungs.append([*key, fact['due_at'], fact['to'], []])

    def acknowledge(self, fact: dict[str, Any], clock: str, level: int) -> None:
        """As a run of this release has told it, which was put back to an earlier schema."""
        by, cycle, target, rung = fact['by'], fact.get('cycle', 0), fact.get('target', 0), fact['rung']
        for each in self.rungs:
            if each[:4] == [clock, level, target, rung]:
                each[6].append([by, fact.get('valid_from', 0)])
        for _, alert, posts in self.raised:
            known = self.seen.get(alert, [])
            if f'|{clock}.{level}|{cycle}|{target}|{rung}|' in alert and by in posts and by not in known:
                self.seen[alert] = [*known, by]


def pages(sql: str) -> Iterator[list[str]]:
    """Ids of cases that a query finds, a page after another. The query goes on after an id."""
    connection, after = op.get_bind(), ''
    query = sa.text(f'SELECT * FROM ({sql}) AS found ORDER BY 1 LIMIT {PAGE}')
    while ids := list(connection.execute(query, {'after': after}).scalars()):
        yield ids
        after = ids[-1]


def folded(cases: list[str], upto: dict[int, int] | None = None) -> dict[str, Alerts]:
    """The alerts of these cases by their facts, perhaps of those up to a number in each partition alone."""
    query = sa.text(
        "SELECT case_id, partition, n, body FROM facts WHERE case_id IN :ids AND (body LIKE '%\"alert.%' "
        "OR body LIKE '%\"clock.%' OR body LIKE '%\"incident.acknowledged\"%') ORDER BY case_id, seq"
    ).bindparams(sa.bindparam('ids', expanding=True))
    found: dict[str, Alerts] = {}
    for id_, partition, n, body in op.get_bind().execute(query, {'ids': cases}):
        if upto is None or n <= upto.get(partition, 0):
            alerts = found.setdefault(id_, Alerts())
            for fact in msgspec.json.decode(body):
                alerts.fold(fact)
    return found


def with_alerts(body: str, alerts: Alerts) -> str:
    """The body of a case with the alerts of its clocks."""
    case = msgspec.json.decode(body)
    for clock in case.get('clocks', []):
        clock[OPEN] = (clock[0], clock[1]) in alerts.open
    if alerts.rungs:
        case['alerted'] = alerts.rungs
    return msgspec.json.encode(case).decode()
