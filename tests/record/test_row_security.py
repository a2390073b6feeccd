"""Row-level security on PostgreSQL: what Supabase's roles are granted shows them nothing, and the owner sees all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import MetaData, insert, text
from sqlalchemy.engine import make_url
from tests import postgres
from tests.record.made import NOW, a_ticket
from tests.record.rows import some_row

from deskloom.errors import SettingInvalid
from deskloom.record import Record, open_record, require_current, upgrade
from deskloom.record.tables import VERSION_TABLE, metadata
from deskloom.record.tickets import store_tickets
from deskloom.record.views import TICKET_DETAILS

OPEN_TABLES = """
SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
AND NOT relrowsecurity ORDER BY relname
"""
OPEN_VIEWS = """
SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}' ORDER BY relname
"""

FIRST_TICKET = """
INSERT INTO tickets (source, external_id, state, tags, custom_fields, listed_at, fingerprint, version, stored_at, raw)
VALUES ('desk', 1, 'active', '[]', '{}', :now, '', 1, :now, '{}')
"""
"""A ticket as the first release stored it."""


@pytest.fixture
def dialect() -> str:
    """SQLite has no users."""
    return "postgresql"


@asynccontextmanager
async def role(url: str) -> AsyncIterator[str]:
    """A role like Supabase's `anon`, granted everything in `public`, now and by default."""
    name = f"anon_{uuid4().hex[:12]}"
    owner = await asyncpg.connect(url)
    try:
        await owner.execute(f"CREATE ROLE {name} LOGIN")
        await owner.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
        await owner.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {name}")
        await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        try:
            yield name
        finally:
            await owner.execute(f"DROP OWNED BY {name}")
            await owner.execute(f"DROP ROLE {name}")
    finally:
        await owner.close()


def as_user(url: str, name: str) -> str:
    return make_url(url).set(username=name).render_as_string(hide_password=False)


async def fill(record: Record) -> None:
    """A row in every table."""
    async with record.transaction() as tx:
        await store_tickets(tx, "desk", [a_ticket(1)], now=NOW)
        described = MetaData()
        await tx.run_sync(described.reflect)
        for table in described.sorted_tables:
            if table.name not in ("tickets", "messages", VERSION_TABLE):
                await tx.execute(insert(table).values(some_row(table)))


async def test_every_table_has_it(record: Record) -> None:
    """No migration may make a table of ours, or a view over them, without row-level security."""
    async with record.reading() as tx:
        assert (await tx.execute(text(OPEN_TABLES))).all() == []
        version = int((await tx.execute(text("SHOW server_version_num"))).scalar_one())
        if version >= 150000:
            assert (await tx.execute(text(OPEN_VIEWS))).all() == []


async def test_a_role_with_every_right_reads_and_writes_nothing(record: Record, record_url: str) -> None:
    """Through tables and view alike; the owner reads every row."""
    await fill(record)
    names = [*(table.name for table in metadata.sorted_tables), TICKET_DETAILS, VERSION_TABLE]
    owned, seen = {}, {}
    async with role(record_url) as anon:
        outsider = await asyncpg.connect(as_user(record_url, anon))
        try:
            for name in names:
                async with record.reading() as tx:
                    owned[name] = (await tx.execute(text(f"SELECT count(*) FROM {name}"))).scalar_one() > 0
                seen[name] = await outsider.fetchval(f"SELECT count(*) FROM {name}")
                assert name == TICKET_DETAILS or await outsider.execute(f"DELETE FROM {name}") == "DELETE 0"
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await outsider.execute("INSERT INTO sync_logs VALUES (9, 'c', 'i', 't', now())")
        finally:
            await outsider.close()
    async with record.reading() as tx:
        kept = (await tx.execute(text(f"SELECT ticket_id FROM {TICKET_DETAILS}"))).scalars().all()
    assert (owned, seen, kept) == (dict.fromkeys(names, True), dict.fromkeys(names, 0), [1])


async def test_a_role_is_let_in_by_policies(record: Record, record_url: str) -> None:
    """As docs/supabase.md says: policies on the view's tables show a role the view, and nothing else."""
    await fill(record)
    async with role(record_url) as reporting:
        owner = await asyncpg.connect(record_url)
        reader = await asyncpg.connect(as_user(record_url, reporting))
        try:
            for table in ("tickets", "messages", "companies", "contacts", "agents", "codes"):
                await owner.execute(f"CREATE POLICY reporting ON {table} FOR SELECT TO {reporting} USING (true)")
            assert await reader.fetchval(f"SELECT count(*) FROM {TICKET_DETAILS}") == 1
            assert await reader.fetchval("SELECT count(*) FROM documents") == 0
            assert await reader.execute("DELETE FROM tickets") == "DELETE 0"
        finally:
            await reader.close()
            await owner.close()


async def test_a_record_that_hides_its_rows_is_not_taken_for_empty(record: Record, record_url: str) -> None:
    """A user that does not own the tables is refused with the remedy, and changes nothing."""
    async with role(record_url) as anon:
        theirs = open_record(as_user(record_url, anon))
        try:
            for step in (require_current, upgrade):
                with pytest.raises(SettingInvalid, match="row-level security") as caught:
                    await step(theirs)
                assert caught.value.facts == {"setting": "DATABASE_URL"}
        finally:
            await theirs.aclose()


async def test_rights_given_before_the_upgrade_are_of_no_use_after_it(empty_url: str) -> None:
    """A record of the first release, whose tables and view others may read, is closed by the upgrade."""
    record = open_record(empty_url)
    async with role(empty_url) as anon:
        await upgrade(record, to="0001")
        outsider = await asyncpg.connect(as_user(empty_url, anon))
        try:
            async with record.transaction() as tx:
                await tx.execute(text(FIRST_TICKET), {"now": NOW})
            assert await outsider.fetchval(f"SELECT count(*) FROM {TICKET_DETAILS}") == 1
            await upgrade(record)
            assert await _seen(outsider) == 0
        finally:
            await outsider.close()
            await record.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("folder", postgres.candidates(), ids=lambda folder: folder.parent.name)
async def test_every_version_at_hand_is_closed(folder: Any) -> None:
    """Each PostgreSQL that this machine has upgrades to the same closed record."""
    with postgres.running([folder]) as server:
        async with postgres.database(server) as url:
            await test_rights_given_before_the_upgrade_are_of_no_use_after_it(url)


async def _seen(outsider: Any) -> int:
    """How many tickets the view shows; PostgreSQL 14 refuses to show it at all."""
    try:
        return int(await outsider.fetchval(f"SELECT count(*) FROM {TICKET_DETAILS}"))
    except asyncpg.InsufficientPrivilegeError:
        return 0
