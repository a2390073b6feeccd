"""A team's own PostgreSQL tables as sources, one source a table."""

from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.source import TableSource

__all__ = ["Database", "TableSource"]
