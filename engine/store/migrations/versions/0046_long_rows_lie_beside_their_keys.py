"""On SQLite long rows lie beside their keys, and a line of the feed is found by its row. Revision 0046, after 0045.

A table that is its own index has whole rows in the pages that lead to others, ten at most where rows are long: a few
thousand of them are four pages deep, and a new row in their midst writes two or three. These tables are written anew.
PostgreSQL's are as they were.
"""

from alembic import op

revision = '0046'
down_revision = '0045'
branch_labels = None
depends_on = None

TABLES = ('inbox', 'seen', 'cases', 'facts', 'notices')
ITSELF = ' WITHOUT ROWID'
NUMBER = {'number BIGINT NOT NULL': 'number INTEGER NOT NULL'}


def upgrade() -> None:
    for table in TABLES:
        rebuild(table, {ITSELF: ''})
    rebuild('deliveries', NUMBER)


def downgrade() -> None:
    rebuild('deliveries', {after: before for before, after in NUMBER.items()})
    for table in TABLES:
        rebuild(table, {}, ITSELF)


def rebuild(table: str, changes: dict[str, str], end: str = '') -> None:
    """Make a table of SQLite as its own statement says with these changes, fill it, and put it in the old one's place."""
    connection = op.get_bind()
    if connection.dialect.name != 'sqlite':
        return
    known = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = ? AND sql <> '' ORDER BY name"
    made = connection.exec_driver_sql(known, (table, 'table')).scalar_one()
    indexes = connection.exec_driver_sql(known, (table, 'index')).scalars().all()
    columns = made[made.index('('):]
    for before, after in changes.items():
        assert columns.count(before) == 1, (table, before)
        columns = columns.replace(before, after)
    connection.exec_driver_sql(f'CREATE TABLE {table}_anew {columns.rstrip()}{end}')
    connection.exec_driver_sql(f'INSERT INTO {table}_anew SELECT * FROM {table}')
    op.drop_table(table)
    op.rename_table(f'{table}_anew', table)
    for index in indexes:
        connection.exec_driver_sql(index)
