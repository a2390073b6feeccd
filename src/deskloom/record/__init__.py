"""The record: a relational copy of what the sources hold, in SQLite or PostgreSQL. The only SQL of the program.

`engine` opens it, `schema` migrates it, `store` takes whole pages; every other module holds one table's functions.
They take an open connection, so that the caller decides what belongs into one transaction.
"""

from deskloom.record.copies import Stored
from deskloom.record.engine import Record, open_record
from deskloom.record.schema import require_current, upgrade
from deskloom.record.store import stamps, store

__all__ = ["Record", "Stored", "open_record", "require_current", "stamps", "store", "upgrade"]
