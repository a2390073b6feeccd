"""Fixtures every test may use: the record on SQLite and on PostgreSQL, both real.

A test that takes `record`, `record_url`, `empty_url`, `database_url` or `install` runs once on each. `sqlite_record` is
for tests to which the database does not matter.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests import postgres
from tests.rig import Install, rig

from deskloom.record import Record, open_record, upgrade

DIALECTS = ("sqlite", "postgresql")
TEMPLATE = "deskloom_template"


async def _upgraded(url: str) -> None:
    record = open_record(url)
    try:
        await upgrade(record)
    finally:
        await record.aclose()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server, with a database that holds the record's tables, to be copied."""
    with postgres.running() as server:
        postgres.apart(postgres.create(server, TEMPLATE))
        postgres.apart(_upgraded(server.url(TEMPLATE)))
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that holds the record's tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "deskloom.db"
    postgres.apart(_upgraded(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """The database a test runs on."""
    return str(request.param)


@pytest.fixture
async def empty_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database without any table."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    async with postgres.database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
async def record_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database with the record's tables, all empty."""
    if dialect == "sqlite":
        path = tmp_path / "deskloom.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    async with postgres.database(request.getfixturevalue("postgres_server"), TEMPLATE) as url:
        yield url


@pytest.fixture
async def record(record_url: str) -> AsyncIterator[Record]:
    """An open, empty record."""
    opened = open_record(record_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def sqlite_record(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Record]:
    """An open, empty record on SQLite."""
    path = tmp_path / "only.db"
    shutil.copy(sqlite_template, path)
    opened = open_record(f"sqlite:///{path}")
    yield opened
    await opened.aclose()


@pytest.fixture
async def database_url(dialect: str, request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    """What `DATABASE_URL` says: nothing for SQLite in the home, else a PostgreSQL database with the record's tables."""
    if dialect == "sqlite":
        yield None
        return
    async with postgres.database(request.getfixturevalue("postgres_server"), TEMPLATE) as url:
        yield url


@pytest.fixture
def install(database_url: str | None, tmp_path: Path) -> Install:
    """Opens a whole installation whose record is on the test's database."""
    return lambda desk, **settings: rig(desk, tmp_path / "home", database_url=database_url, **settings)
