"""Everything in this folder runs on PostgreSQL behind PgBouncer in transaction mode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests import pgbouncer, postgres
from tests.conftest import TEMPLATE


@pytest.fixture(scope="session")
def bouncer(postgres_server: postgres.Server) -> Iterator[pgbouncer.Bouncer]:
    """A pooler with fewer server connections than a record has of its own, so that they change hands."""
    try:
        program = pgbouncer.find()
    except pgbouncer.Missing as missing:
        if pgbouncer.optional():
            pytest.skip(str(missing))
        raise
    with pgbouncer.running(postgres_server, program) as running:
        yield running


@pytest.fixture
def dialect() -> str:
    return "postgresql"


@pytest.fixture
async def empty_url(postgres_server: postgres.Server, bouncer: pgbouncer.Bouncer) -> AsyncIterator[str]:
    """The URL of a database without any table, through the pooler."""
    async with postgres.database(postgres_server) as url:
        yield bouncer.through(url)


@pytest.fixture
async def record_url(postgres_server: postgres.Server, bouncer: pgbouncer.Bouncer) -> AsyncIterator[str]:
    """The URL of a database with the record's tables, all empty, through the pooler."""
    async with postgres.database(postgres_server, TEMPLATE) as url:
        yield bouncer.through(url)


@pytest.fixture
def database_url(record_url: str) -> str:
    """What `DATABASE_URL` says."""
    return record_url
