"""Which account each configured source stands for, so that two accounts never mix under one name."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import SettingInvalid
from deskloom.record.statements import insert
from deskloom.record.tables import sources


async def bind_source(tx: AsyncConnection, name: str, kind: str, account: str, *, now: datetime | None = None) -> None:
    """Tie a source's name to its account, the first time; raises `SettingInvalid` for another account later."""
    row = {"name": name, "kind": kind, "account": account, "created_at": now or datetime.now(UTC)}
    await tx.execute(insert(tx, sources).values(row).on_conflict_do_nothing(index_elements=["name"]))
    stored = (await tx.execute(select(sources).where(sources.c.name == name))).one()
    if (stored.kind, stored.account) != (kind, account):
        raise SettingInvalid(
            f'Source "{name}" holds the data of {stored.kind} account "{stored.account}", but is now set to '
            f'{kind} account "{account}". Give the new account another name, or an own DESKLOOM_HOME.',
            setting=name,
        )


async def accounts_of(tx: AsyncConnection) -> dict[str, str]:
    """Every source the record has ever been tied to, by name, and its account."""
    rows = await tx.execute(select(sources.c.name, sources.c.account).order_by(sources.c.name))
    return {row.name: row.account for row in rows}
