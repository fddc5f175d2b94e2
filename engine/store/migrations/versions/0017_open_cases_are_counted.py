"""Open cases are counted as they change. Revision 0017, after 0016.

The counts of those that are open now are read from their rows, in pages. The indexes of lists begin with the kind of case.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

PAGE = 5000
DUE, SINCE, BREACHED = 8, 11, 15
KEY = ('partition', 'definition', 'what', 'level', 'state', 'path', 'department', 'post', 'category', 'grp', 'late', 'hour')


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    kinds = {'partition': sa.Integer(), 'level': sa.Integer(), 'hour': sa.BigInteger()}
    op.create_table('open_counts',
    *(sa.Column(name, kinds.get(name, bytes_), autoincrement=False, nullable=False) for name in KEY),
    sa.Column('value', sa.BigInteger(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint(*KEY),
    sqlite_with_rowid=False
    )
    op.create_index('open_counts_what', 'open_counts', ['what', 'definition'], unique=False)
    index_lists(['definition'])
    connection = op.get_bind()
    page = sa.text(
        'SELECT id, partition, definition, level, state, path, department, category, grp, holder, holder_department, body '
        f"FROM cases WHERE open AND definition <> '' AND id > :after ORDER BY id LIMIT {PAGE}"
    )
    found, after = Counter[tuple[object, ...]](), ''
    while rows := connection.execute(page, {'after': after}).all():
        for row in rows:
            found.update(cells(*row[1:]))
        after = rows[-1][0]
    if found:
        names = ', '.join((*KEY, 'value'))
        marks = ', '.join(f':{name}' for name in (*KEY, 'value'))
        values = [{**dict(zip(KEY, cell, strict=True)), 'value': value} for cell, value in found.items()]
        connection.execute(sa.text(f'INSERT INTO open_counts ({names}) VALUES ({marks})'), values)


def downgrade() -> None:
    index_lists([])
    op.drop_index('open_counts_what', 'open_counts')
    op.drop_table('open_counts')


def index_lists(first: list[str]) -> None:
    """The indexes along which lists go, anew: within one kind of case, so that another kind slows none down."""
    dated, undated = sa.text('due_at IS NOT NULL'), sa.text('open AND due_at IS NULL')
    for name, columns, where in (
        ('cases_due', ['due_at', 'id'], dated),
        ('cases_undated', ['id'], undated),
        ('cases_opened', ['opened_at', 'id'], None),
        ('cases_state', ['state', 'id'], None),
    ):
        op.drop_index(name, 'cases')
        conditions: dict[str, Any] = {} if where is None else {'sqlite_where': where, 'postgresql_where': where}
        op.create_index(name, 'cases', [*first, *columns], unique=False, **conditions)


def cells(
    partition: int,
    definition: str,
    level: int,
    state: str,
    path: str,
    department: str,
    category: str,
    grp: str,
    holder: str,
    holder_department: str,
    body: str,
) -> Iterator[tuple[object, ...]]:
    """The cells in which an open case counts."""
    case = json.loads(body)
    clocks = case.get('clocks', [])
    total = next((clock for clock in clocks if clock[0] == 'total'), None)
    late = 'none' if total is None or total[DUE] is None else 'missed' if total[BREACHED] else 'ahead'
    missed = [clock[DUE] for clock in clocks if clock[BREACHED] and clock[SINCE] is not None]
    unit = case['holdings'][-1][1] if case.get('holdings') else {}
    held_by, post = unit.get('path', f'/{holder}/'), unit.get('post', '')
    yield partition, definition, 'state', level, state, '', '', '', '', '', '', 0
    yield partition, definition, 'place', 0, '', path, department, '', category, grp, late, 0
    yield partition, definition, 'holder', 0, '', held_by, holder_department, post, '', '', 'missed' if missed else 'ahead', 0
    if missed:
        above = '/'.join(path.split('/')[:4]).rstrip('/') + '/'
        yield partition, definition, 'late', 0, '', above, '', '', '', grp, '', min(missed) // 3_600_000
