"""The table of stored sheets (考核得分表), each under its hash."""

from sqlalchemy import BigInteger, Column, Table

from engine.store.tables import BYTES, metadata

sheets = Table(
    "sheets",
    metadata,
    Column("hash", BYTES, primary_key=True),
    Column("card", BYTES, nullable=False, server_default=""),
    Column("period", BYTES, nullable=False, server_default=""),
    Column("as_of", BigInteger, nullable=False, server_default="0"),
    Column("body", BYTES, nullable=False, server_default=""),  # canonical JSON, whose SHA-256 is the hash
)
