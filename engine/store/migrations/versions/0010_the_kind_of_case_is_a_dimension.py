"""Steps, figures, outcomes and alerts carry the definition of their case.

Revision 0010, after 0009. Steps before the report of their case keep it empty. Figures are exact where all cases are of one
definition; else contributions, figures and outcomes go, and the fold begins again by itself. Figures that a topic has are
published again: under their keys of before they are 0. The table of figures is written anew.
"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

KEY = 'measure, day, path, department, category, grp, post'
BORN = "coalesce((SELECT c.definition FROM cases c WHERE c.id = {0}.case_id), '')"


def upgrade() -> None:
    connection = op.get_bind()
    for table in ('facts', 'outcomes', 'alerts', 'deliveries'):
        kind = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
        op.add_column(table, sa.Column('definition', kind, server_default='', nullable=False))
    index_open(['definition', 'level', 'state', 'open'])
    connection.exec_driver_sql(f"UPDATE facts SET definition = {BORN.format('facts')} WHERE policy <> ''")
    for table in ('outcomes', 'alerts'):
        connection.exec_driver_sql(f'UPDATE {table} SET definition = {BORN.format(table)}')
    connection.exec_driver_sql(
        'UPDATE deliveries SET definition = '
        "coalesce((SELECT a.definition FROM alerts a WHERE a.id = deliveries.alert), '')"
    )
    known = connection.exec_driver_sql("SELECT count(DISTINCT definition) FROM cases WHERE definition <> ''").scalar_one()
    published = has_topics()
    if published:
        note(KEY)
    rebuild(
        ['definition'],
        f"INSERT INTO figures_anew (definition, {KEY}, value) SELECT coalesce("
        f"(SELECT min(c.definition) FROM cases c WHERE c.definition <> ''), ''), {KEY}, value FROM figures",
    )
    if known > 1:
        for table in ('contributions', 'figures', 'outcomes'):
            connection.exec_driver_sql(f'DELETE FROM {table}')
        connection.exec_driver_sql("UPDATE positions SET n = 0 WHERE consumer = 'performance'")
    if published:
        note(f'{KEY}, definition')


def downgrade() -> None:
    """The release before knows one figure for all definitions."""
    rebuild([], f'INSERT INTO figures_anew ({KEY}, value) SELECT {KEY}, sum(value) FROM figures GROUP BY {KEY}')
    op.get_bind().exec_driver_sql('DELETE FROM untold')  # it does not know their keys
    if has_topics():
        note(KEY)
    index_open(['level', 'state', 'open'])
    for table in ('deliveries', 'alerts', 'outcomes', 'facts'):
        op.drop_column(table, 'definition')


def index_open(columns: list[str]) -> None:
    """The index by which open cases are counted, anew."""
    where = sa.text('open')
    op.drop_index('cases_open', 'cases')
    op.create_index('cases_open', 'cases', columns, unique=False, sqlite_where=where, postgresql_where=where)


def has_topics() -> bool:
    """Whether the log is a topic, so that figures are published."""
    found = op.get_bind().exec_driver_sql("SELECT count(*) FROM meta WHERE name = 'inbox' AND value <> ''")
    return bool(found.scalar_one())


def note(names: str) -> None:
    """Every figure is to be published: a thousand a note, under the number of no partition."""
    op.get_bind().exec_driver_sql(
        'INSERT INTO untold (partition, n, cells) '
        'SELECT -1, batch + (SELECT coalesce(max(n), 0) + 1 FROM untold), CAST(json_agg(json_build_array('
        f'{names})) AS text) FROM (SELECT {names}, (row_number() OVER () - 1) / 1000 AS batch FROM figures) AS numbered '
        'GROUP BY batch'
    )


def rebuild(keys: list[str], filled: str) -> None:
    """Make the table with these columns at the head of its key, fill it, and put it in the old one's place."""
    kind = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    texts = ('path', 'department', 'category', 'grp', 'post')
    op.create_table('figures_anew',
    *(sa.Column(name, kind, autoincrement=False, nullable=False) for name in (*keys, 'measure')),
    sa.Column('day', sa.Integer(), autoincrement=False, nullable=False),
    *(sa.Column(name, kind, autoincrement=False, nullable=False) for name in texts),
    sa.Column('value', sa.BigInteger(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint(*keys, 'measure', 'day', *texts),
    sqlite_with_rowid=False
    )
    connection = op.get_bind()
    connection.exec_driver_sql(filled)
    op.drop_table('figures')
    op.rename_table('figures_anew', 'figures')
    if connection.dialect.name == 'postgresql':
        connection.exec_driver_sql('ALTER INDEX figures_anew_pkey RENAME TO figures_pkey')
