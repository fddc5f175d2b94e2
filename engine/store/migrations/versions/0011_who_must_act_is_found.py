"""Who must act on a case stands in columns of its own. Revision 0011, after 0010.

Of cases that are open it is what their state says: the owner, the leaf of the place, or the level whose check is next.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

AT_THE_LEAF = ('discovered', 'dissuading', 'verified')
CHECKED = ('feedback', 'verifying')
PAGE = 5000


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    for name in ('holder', 'holder_department'):
        op.add_column('cases', sa.Column(name, bytes_, server_default='', nullable=False))
    connection = op.get_bind()
    connection.exec_driver_sql(
        "UPDATE cases SET holder = grid, holder_department = department WHERE open AND definition <> ''"
    )
    states = ', '.join(f"'{state}'" for state in (*AT_THE_LEAF, *CHECKED))
    page = sa.text(
        'SELECT id, state, path, body FROM cases '
        f"WHERE open AND definition = 'incident' AND state IN ({states}) AND id > :after ORDER BY id LIMIT {PAGE}"
    )
    found = sa.text("UPDATE cases SET holder = :holder, holder_department = '' WHERE id = :id")
    after = ''
    while rows := connection.execute(page, {'after': after}).all():
        connection.execute(found, [{'id': row[0], 'holder': holder(*row[1:])} for row in rows])
        after = rows[-1][0]
    where = sa.text("holder <> ''")
    op.create_index(
        'cases_held',
        'cases',
        ['holder', 'holder_department', 'due_at', 'id'],
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    op.drop_index('cases_held', 'cases')
    for name in ('holder_department', 'holder'):
        op.drop_column('cases', name)


def holder(state: str, path: str, body: str) -> str:
    """The grid that must act, of a state in which that is not the owner."""
    grids, level = path.strip('/').split('/'), 0
    if state in CHECKED:
        case = json.loads(body)
        checks, passed = case.get('checks', []), case.get('passed', [])
        level = next((each for each in checks if each not in passed), checks[-1] if checks else 0)
    return grids[min(level or len(grids), len(grids)) - 1]
