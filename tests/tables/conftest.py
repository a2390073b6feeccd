"""A team's own database, with tables as products make them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests import postgres

from deskloom.sources.postgres import Database

SCHEMA = """
CREATE TABLE "KnowledgeReference" (
    id text PRIMARY KEY, title jsonb NOT NULL, content jsonb NOT NULL, category text, tags text[],
    "isActive" boolean NOT NULL DEFAULT true, "updatedAt" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON "KnowledgeReference" ("updatedAt");
CREATE SCHEMA shop;
CREATE TABLE shop.articles (
    region text, number bigint, name text, body text, extra text, deleted_at timestamptz, changed bigint,
    PRIMARY KEY (region, number)
);
"""


@pytest.fixture
async def team_url(postgres_server: postgres.Server) -> AsyncIterator[str]:
    """The URL of a database with the team's tables, all empty."""
    async with postgres.database(postgres_server) as url:
        connection = await asyncpg.connect(url)
        await connection.execute(SCHEMA)
        await connection.close()
        yield url


@pytest.fixture
async def team(team_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the team's application."""
    connection = await asyncpg.connect(team_url)
    yield connection
    await connection.close()


@pytest.fixture
async def database(team_url: str) -> AsyncIterator[Database]:
    opened = Database(f"{team_url}?schema=public&connection_limit=5")
    yield opened
    await opened.aclose()
