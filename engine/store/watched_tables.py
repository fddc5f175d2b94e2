"""The tables of the adapter of signals: how far each device has come under each rule, when devices were heard, and what
is still to be said. They belong to no log: what was said stands there."""

from sqlalchemy import BigInteger, Column, Table

from engine.store.tables import BYTES, metadata

watched = Table(
    "watched",
    metadata,
    Column("device", BYTES, primary_key=True, autoincrement=False),
    Column("rule", BYTES, primary_key=True, autoincrement=False),
    Column("phase", BYTES, nullable=False, server_default=""),  # rising, standing, falling or silent; quiet has no row
    Column("body", BYTES, nullable=False, server_default=""),  # workflows.watching.Watched
)
devices_seen = Table(
    "devices_seen",
    metadata,
    Column("device", BYTES, primary_key=True, autoincrement=False),
    Column("seen", BigInteger, nullable=False, server_default="0"),  # arrival of its last value, ms UTC
)
watched_sayings = Table(
    "watched_sayings",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),  # they are said in this order
    Column("body", BYTES, nullable=False, server_default=""),  # the event, as it is sent
)
