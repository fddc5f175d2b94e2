"""What waits for a post, what it reported, and what became of all that a source has sent. Revision 0028, after 0024.

Outcomes of before are numbered by their positions, below all numbers of this release; who sent them is not known.
"""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None

PAGE = 5000
BEFORE_ALL = 10**15


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.add_column('seen', sa.Column('decided', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('seen', sa.Column('decided_at', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('seen', sa.Column('principal', bytes_, server_default='', nullable=False))
    op.execute(f'UPDATE seen SET decided = position - {BEFORE_ALL}, decided_at = arrival')
    op.create_index('seen_source', 'seen', ['source', 'partition', 'decided'], unique=False)
    op.add_column('dead_letters', sa.Column('decided', sa.BigInteger(), server_default='0', nullable=False))
    op.execute(
        f"UPDATE dead_letters SET decided = position - {BEFORE_ALL} WHERE reason = 'conflict' AND position IS NOT NULL"
    )
    where = sa.text('decided <> 0')
    op.create_index(
        'dead_letters_conflicts',
        'dead_letters',
        ['source', 'partition', 'decided'],
        unique=False,
        sqlite_where=where,
        postgresql_where=where,
    )
    op.add_column('cases', sa.Column('reporter', bytes_, server_default='', nullable=False))
    op.create_table(
        'shared_work',
        sa.Column('case_id', bytes_, nullable=False),
        sa.Column('level', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('grid', bytes_, server_default='', nullable=False),
        sa.Column('due_at', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('case_id', 'level'),
        sqlite_with_rowid=False,
    )
    read_bodies()
    op.create_index('shared_work_of', 'shared_work', ['grid', 'due_at', 'case_id'], unique=False)
    named = sa.text("reporter <> ''")
    op.create_index(
        'cases_reporter',
        'cases',
        ['reporter', 'definition', 'due_at', 'id'],
        unique=False,
        sqlite_where=named,
        postgresql_where=named,
    )
    held = sa.text("holder_department <> ''")
    op.create_index(
        'cases_held_by_department',
        'cases',
        ['holder_department', 'due_at', 'id'],
        unique=False,
        sqlite_where=held,
        postgresql_where=held,
    )


def downgrade() -> None:
    op.drop_index('cases_held_by_department', 'cases')
    op.drop_index('cases_reporter', 'cases')
    op.drop_table('shared_work')
    op.drop_column('cases', 'reporter')
    op.drop_index('dead_letters_conflicts', 'dead_letters')
    op.drop_column('dead_letters', 'decided')
    op.drop_index('seen_source', 'seen')
    for name in ('principal', 'decided_at', 'decided'):
        op.drop_column('seen', name)


def read_bodies() -> None:
    """Fill in what stands in the bodies of cases, in pages."""
    connection, after = op.get_bind(), ''
    page = sa.text(f'SELECT id, body, holder, open FROM cases WHERE id > :after ORDER BY id LIMIT {PAGE}')
    change = sa.text('UPDATE cases SET reporter = :reporter WHERE id = :id')
    work = sa.text('INSERT INTO shared_work (case_id, level, grid, due_at) VALUES (:case_id, :level, :grid, :due)')
    while rows := connection.execute(page, {'after': after}).all():
        cases = [(id_, json.loads(body), holder if is_open else '') for id_, body, holder, is_open in rows]
        if reported := [{'id': id_, 'reporter': case['by']} for id_, case, _ in cases if case.get('by')]:
            connection.execute(change, reported)
        if shared := [row | {'case_id': id_} for id_, case, holder in cases for row in shared_work(case, holder)]:
            connection.execute(work, shared)
        after = rows[-1][0]


def shared_work(case: dict[str, Any], holder: str) -> Iterator[dict[str, Any]]:
    """Who may act on a case on which a level owes a check whose turn has passed: that level, and who holds the case.
    Its clocks are that of the whole case, those of owed checks by their levels, and what its holder is to do."""
    passed, checks, path = (case.get(name, []) for name in ('passed', 'checks', 'path'))
    owing = [level for level in checks if level in passed]
    if not owing or holder not in path:
        return
    held = path.index(holder) + 1
    running = [clock for clock in case.get('clocks', []) if clock[8] is not None and clock[11] is not None]
    mine = [clock[8] for clock in running if clock[1] not in owing]
    yield {'level': held, 'grid': holder, 'due': min(mine, default=None)}
    for level in owing:
        own = [clock[8] for clock in running if clock[1] == level]
        yield {'level': level, 'grid': path[level - 1], 'due': min(own, default=None)}
