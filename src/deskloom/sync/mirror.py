"""The mirror: copies `sync_logs` to a Supabase project through its REST interface, beside everything else.

It is behind the record, never in its way: runs know nothing of it, and what could not be copied is copied later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import structlog

from deskloom.errors import DeskloomError, SettingInvalid
from deskloom.model import Cursor
from deskloom.record import logs as record_logs
from deskloom.record.checkpoints import load_checkpoint, save_checkpoint
from deskloom.record.engine import Record
from deskloom.record.logs import LogRow
from deskloom.sync.runs import Clock

log = structlog.get_logger(__name__)

TABLE = "sync_logs"
BOOKMARK = ("supabase", TABLE)
"""Source and stream of the checkpoint that says how far the copy is."""
BATCH = 500
LOOKED_AFTER = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=10)
ANSWERED_WITHIN = 30.0

Push = Callable[[Sequence[LogRow]], Awaitable[None]]
"""Writes entries to the other side, where an entry with the same id is replaced. Raises `PushFailed`."""


class PushFailed(Exception):
    """The other side could not take a batch; the sentence says why and what to do."""


class Mirror:
    """Copies new entries in order of id, in batches, and keeps a bookmark in the record.

    Ids are given before they are committed, so on PostgreSQL a higher one may be seen before a lower one. The bookmark
    passes an id only after every transaction has ended that was writing when the id had been given.
    """

    def __init__(
        self,
        record: Record,
        push: Push,
        *,
        name: str,
        clock: Clock = lambda: datetime.now(UTC),
        batch: int = BATCH,
        looked_after: timedelta = LOOKED_AFTER,
    ) -> None:
        """`name` tells the other side from another that may take its place: that one gets everything."""
        self.record = record
        self.push = push
        self.name = name
        self.clock = clock
        self.batch = batch
        self.looked_after = looked_after
        self.trouble: str | None = None
        """Why the last attempt failed; None if it did not."""
        self._failures = 0
        self._waiting: tuple[int, int] | None = None
        """An id up to which everything has been given, and the transaction that must be the oldest to copy it."""

    @property
    def pause(self) -> timedelta:
        """How long to wait before the next look: longer after each failure in a row."""
        doubled: timedelta = self.looked_after * 2 ** min(self._failures, 16)
        return min(doubled, LONGEST_PAUSE)

    async def run_forever(self) -> None:
        """Copy what is new, now and again and again."""
        while True:
            await self.attempt()
            await asyncio.sleep(self.pause.total_seconds())

    async def attempt(self) -> bool:
        """Copy everything that is settled; False if that failed, and why is noted. Raises nothing."""
        try:
            while await self.copy():
                pass
        except PushFailed as error:
            self._fail(str(error))
        except DeskloomError as error:
            self._fail(error.message)
        except Exception as error:  # the mirror may be broken, but must break nothing else
            log.exception("sync_logs could not be copied")
            self._fail(f"sync_logs could not be copied: internal error ({type(error).__name__}); see the log.")
        else:
            if self.trouble is not None:
                log.info("sync_logs are copied again")
            self.trouble, self._failures = None, 0
            return True
        return False

    async def flush(self, within: timedelta) -> None:
        """Copy what is left, for so long at most: the process is about to end."""
        if self.trouble is None:
            try:
                async with asyncio.timeout(within.total_seconds()):
                    await self.attempt()
            except TimeoutError:
                log.info("the rest of sync_logs is copied when deskloom starts again")

    async def copy(self) -> bool:
        """Copy a batch; returns whether there may be more at once."""
        through = await self._settled()
        async with self.record.reading() as tx:
            at = _place(await load_checkpoint(tx, *BOOKMARK), self.name)
            rows = await record_logs.read_log(tx, after=at, through=through, limit=self.batch)
        if rows:
            await self.push(rows)
        full = len(rows) == self.batch
        reached = rows[-1].id if full else through
        if reached > at:
            cursor: Cursor = {"to": self.name, "id": reached}
            async with self.record.transaction() as tx:
                await save_checkpoint(tx, *BOOKMARK, cursor, now=self.clock(), completed=not full, items=len(rows))
        return full

    async def _settled(self) -> int:
        """The id up to which every entry is committed or will never be."""
        if self._waiting is None:
            # One after the other: who got an id before the first look has begun to write before the second.
            async with self.record.reading() as tx:
                highest = await record_logs.highest_log_id(tx)
            async with self.record.reading() as tx:
                self._waiting = highest, (await record_logs.writers(tx))[1]
        highest, following = self._waiting
        async with self.record.reading() as tx:
            if (await record_logs.writers(tx))[0] < following:
                return 0  # someone still writes; the next look asks again for the same id
        self._waiting = None
        return highest

    def _fail(self, why: str) -> None:
        self._failures += 1
        self._waiting = None
        if self.trouble != why:
            log.warning("sync_logs are not copied for now", error=why)
        self.trouble = why


def _place(cursor: Cursor | None, name: str) -> int:
    return int(cursor["id"]) if isinstance(cursor, dict) and cursor.get("to") == name else 0


class SupabaseTable:
    """The table `sync_logs` of a Supabase project, through Supabase's own client."""

    def __init__(self, url: str, key: str, *, timeout: float = ANSWERED_WITHIN) -> None:
        """`url` is the project's; `timeout` in seconds for one answer. Raises `SettingInvalid` without the client."""
        try:
            from postgrest import AsyncPostgrestClient
        except ImportError as error:
            raise SettingInvalid(
                'SUPABASE_URL is set, which needs one more package. Install it: pip install "deskloom[supabase]"',
                setting="SUPABASE_URL",
            ) from error
        self._status = 0
        self._http = httpx.AsyncClient(timeout=timeout, event_hooks={"response": [self._note]})
        headers = {"apikey": key, "Authorization": f"Bearer {key}"}
        self._client = AsyncPostgrestClient(f"{url}/rest/v1", headers=headers, http_client=self._http)

    async def push(self, rows: Sequence[LogRow]) -> None:
        """Upsert entries by id. Raises `PushFailed`, whose sentence holds no row and no key."""
        from postgrest import APIError
        from postgrest.types import ReturnMethod

        entries: list[dict[str, Any]] = [
            {
                "id": row.id,
                "collection": row.collection,
                "item_id": row.item_id,
                "item_type": row.item_type,
                "synced_at": row.synced_at.isoformat(),
            }
            for row in rows
        ]
        table = self._client.from_(TABLE)
        try:
            await table.upsert(entries, on_conflict="id", returning=ReturnMethod.minimal).execute()
        except APIError as error:
            raise PushFailed(_refusal(error.code or self._status)) from error
        except httpx.TimeoutException as error:
            raise PushFailed("Supabase did not answer in time. It is tried again.") from error
        except httpx.HTTPError as error:
            raise PushFailed("Supabase cannot be reached. Check SUPABASE_URL; it is tried again.") from error

    async def _note(self, response: httpx.Response) -> None:
        # The client drops the status of an answer in JSON that has no code, as the gateway's 401 has none.
        self._status = response.status_code

    async def aclose(self) -> None:
        await self._http.aclose()


def _refusal(code: object) -> str:
    """What a refusal means, by PostgREST's or PostgreSQL's code, or the HTTP status where a proxy answered.

    https://docs.postgrest.org/en/stable/references/errors.html; only the code is told, for a message may quote a row.
    """
    shown = "".join(char for char in str(code) if char.isalnum())[:12] or "no code"
    if shown in ("401", "403", "42501", "PGRST301", "PGRST302", "PGRST303"):
        return f"Supabase refused the key or its rights ({shown}). Set the service-role key as SUPABASE_KEY."
    if shown in ("404", "42P01", "PGRST205"):
        return f"The Supabase project has no table {TABLE} ({shown}). Make it as docs/supabase.md says."
    return f"Supabase did not take entries of {TABLE} ({shown}). It is tried again."
