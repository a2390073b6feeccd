"""A whole installation for tests: a sandbox help desk, a home, an app, and the comparison of the three copies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from tests.fakes import FakeEmbedder

from deskloom import documents
from deskloom.embedders import Choice, open_choice
from deskloom.home import Home, own_home
from deskloom.model import Json
from deskloom.protocols import Embedder, VectorIndex
from deskloom.record import runs as record_runs
from deskloom.record import tables
from deskloom.record.runs import Run
from deskloom.sandbox import state
from deskloom.sandbox.desk import HelpDesk
from deskloom.sandbox.server import SandboxServer
from deskloom.settings import Settings
from deskloom.sync.vectors import fingerprint
from deskloom.wiring import App, open_app


class Rig:
    """An app over a sandbox of either product. `reopen` is what a new process would find after the old one ended."""

    def __init__(
        self, desk: HelpDesk[Any], url: str, home: Path, *, database_url: str | None = None, **settings: Any
    ) -> None:
        """`database_url`: a PostgreSQL database that holds the record's tables; None: SQLite in the home."""
        self.desk = desk
        self.product = desk.product.name
        self.embedder = FakeEmbedder()
        self.models: dict[str, Embedder] = {"minilm": self.embedder}
        """Stand-ins for the models that the settings, or a reindex, may name; others are the real ones."""
        self.settings = Settings(
            _env_file=None,
            home=home,
            database_url=database_url,
            **{f"{self.product}_domain": url, f"{self.product}_api_key": desk.key},
            **({"max_delete_share": 1.0, "retries": 1, "rate_share": 1.0} | settings),
        )
        self.clock = desk.clock.now
        """The app's clock, where it is not to be the help desk's."""
        self.index: VectorIndex | None = None
        """An index that other processes reach too, instead of one in the home."""
        self._stack: AsyncExitStack | None = None
        self._home: Home | None = None
        self.app: App

    async def open(self) -> None:
        self._home = own_home(self.settings.home, "test")
        self._stack = AsyncExitStack()
        self.app = await self._stack.enter_async_context(
            open_app(
                self.settings,
                home=self._home.id,
                opener=self._opened,
                index=self.index,
                clock=self.clock,
            )
        )

    async def _opened(self, choice: Choice, settings: Settings, *, dimensions: int = 0) -> Embedder:
        if standing_in := self.models.get(str(choice)):
            return standing_in
        return await open_choice(choice, settings, dimensions=dimensions)

    async def close(self) -> None:
        if self._stack is not None and self._home is not None:
            await self._stack.aclose()
            self._home.release()
        self._stack = self._home = None

    async def reopen(self) -> list[Run]:
        """Close, open again, and let interrupted runs go on to their end."""
        await self.close()
        await self.open()
        runs = await self.app.dispatcher.recover()
        for run in runs:
            await self.app.dispatcher.wait(run.id)
        return runs

    async def start(self, stream: str = "tickets", **options: Any) -> Run:
        return await self.app.dispatcher.submit(source=self.product, stream=stream, requested_by="test", **options)

    async def sync(self, stream: str = "tickets", **options: Any) -> Run:
        """A run from start to end, as it stands in the record afterwards."""
        run = await self.start(stream, **options)
        await self.app.dispatcher.wait(run.id)
        return await self.run(run)

    async def run(self, run: Run) -> Run:
        async with self.app.record.reading() as tx:
            return await record_runs.get_run(tx, run.id)

    async def rows(self, table: Any) -> list[Mapping[str, Any]]:
        async with self.app.record.reading() as tx:
            return [dict(row) for row in (await tx.execute(select(table))).mappings()]

    # -------------------------------------------------------------------------------------------- the comparison

    async def differences(self) -> list[str]:
        """Where source, record and index disagree, in words; empty when they agree."""
        return [*await self._record_against_source(), *await self._index_against_record()]

    async def _record_against_source(self) -> list[str]:
        found: list[str] = []
        tickets = {row["external_id"]: row for row in await self.rows(tables.tickets)}
        messages: dict[int, dict[int, Mapping[str, Any]]] = {}
        for row in await self.rows(tables.messages):
            messages.setdefault(row["ticket_id"], {})[row["external_id"]] = row
        said: dict[int, dict[int, Mapping[str, Any]]] = {}
        for row in state.whole(self.desk, "conversations"):
            said.setdefault(row["ticket_id"], {})[row["id"]] = row
        for truth in state.whole(self.desk, "tickets"):
            standing = next((name for name in ("archived", "deleted", "spam") if truth.get(name)), "active")
            ours = tickets.pop(truth["id"], None)
            if ours is None:
                found.append(f"ticket {truth['id']} ({standing}) is not in the record")
                continue
            if ours["state"] != standing:
                found.append(f"ticket {truth['id']} is {ours['state']}, not {standing}")
            if standing in ("deleted", "spam"):
                continue
            for name in ("subject", "status", "priority", "type", "requester_id"):
                if ours[name] != truth[name]:
                    found.append(f"ticket {truth['id']}: {name} is {ours[name]!r}, not {truth[name]!r}")
            kept = messages.get(truth["id"], {})
            if said.get(truth["id"], {}).keys() != kept.keys():
                found.append(f"ticket {truth['id']}: messages {sorted(kept)} instead of {sorted(said[truth['id']])}")
                continue
            for key, row in said.get(truth["id"], {}).items():
                if (kept[key]["body_html"], kept[key]["private"]) != (row["body"], row["private"]):
                    found.append(f"message {key} of ticket {truth['id']} differs")
        alive = (key for key, ours in tickets.items() if ours["deleted_at"] is None)
        found += [f"ticket {key} does not exist at the source" for key in alive]
        return [*found, *await self._people_against_source(), *await self._articles_against_source()]

    async def _people_against_source(self) -> list[str]:
        """Names of companies and contacts; a deleted contact may be missing, or stand as it last was."""
        found: list[str] = []
        companies, contacts = (
            ("companies", "contacts") if self.product == "freshdesk" else ("departments", "requesters")
        )
        for what, table, kind in (("company", tables.companies, companies), ("contact", tables.contacts, contacts)):
            ours = {
                row["external_id"]: row["name"]
                for row in await self.rows(table)
                if row["deleted_at"] is None and not row.get("deleted")
            }
            truth = state.whole(self.desk, kind)
            # An inactive contact of Freshdesk is one that was not verified; a requester of Freshservice is gone.
            gone = "deleted" if self.product == "freshdesk" else "inactive"
            real = {
                row["id"]: _name(row) for row in truth if not (row | {"inactive": row.get("active") is False}).get(gone)
            }
            found += [
                f"{what} {key}: {ours.get(key)!r} instead of {real.get(key)!r}"
                for key in sorted(ours.keys() | real.keys())
                if ours.get(key) != real.get(key)
            ]
        return found

    async def _articles_against_source(self) -> list[str]:
        ours = {
            (row["external_id"], row["language"]): row["title"]
            for row in await self.rows(tables.articles)
            if row["deleted_at"] is None
        }
        truth = self.article_titles()
        return [
            f"article {key}: {ours.get(key)!r} instead of {truth.get(key)!r}"
            for key in sorted(ours.keys() | truth.keys())
            if ours.get(key) != truth.get(key)
        ]

    def article_titles(self) -> dict[tuple[int, str], str]:
        """Every article of the desk in every language it has: (id, language) → title."""
        return {(row["id"], row["language"]): row["title"] for row in state.whole(self.desk, "articles")}

    async def _index_against_record(self) -> list[str]:
        found: list[str] = []
        for collection, table in ((documents.TICKETS, tables.tickets), (documents.ARTICLES, tables.articles)):
            await self.app.index.prepare(documents.schema(collection, await self.app.models.of(collection)))
            expected = {
                documents.point_id(collection, row["source"], row["item_id"], row["language"]): row
                for row in await self.rows(tables.documents)
                if row["collection"] == collection
            }
            alive = {
                (str(row["external_id"]), row.get("language", ""))
                for row in await self.rows(table)
                if row["deleted_at"] is None
            }
            if {(row["item_id"], row["language"]) for row in expected.values()} != alive:
                found.append(f"{collection}: documents are not those of the record")
            shown = await self._to_be_shown(collection)
            indexed: dict[UUID, Json] = {}
            async for batch in self.app.index.scroll(collection, ["hash", *_SHOWN[collection]]):
                indexed |= dict(batch)
            for id, row in expected.items():
                if row["state"] == "failed":
                    continue
                if row["state"] != "ready":
                    found.append(f"{collection}/{row['item_id']} is {row['state']}")
                    continue
                payload = dict(indexed.get(id, {}))
                if payload.pop("hash", None) != fingerprint(
                    row["embedder"], row["rules"], row["published"], row["payload_hash"]
                ):
                    found.append(f"{collection}/{row['item_id']}: the index holds another document, or none")
                elif payload != (wanted := shown[row["item_id"], row["language"]]):
                    found.append(f"{collection}/{row['item_id']}: the index shows {payload} instead of {wanted}")
            extra = indexed.keys() - {id for id, row in expected.items() if row["state"] == "ready"}
            found += [f"{collection}: point {id} belongs to nothing" for id in extra]
        return found

    async def _to_be_shown(self, collection: str) -> dict[tuple[str, str], Json]:
        """What the payload of each document should show, read off the record's tables: by (item id, language)."""
        if collection == documents.ARTICLES:
            return {
                (str(row["external_id"]), row["language"]): {
                    "title": row["title"],
                    "status": "published" if row["published"] else "draft",
                    "visibility": row["visibility"] if row["published"] else "internal",
                }
                for row in await self.rows(tables.articles)
            }
        codes = {(row["field"], row["code"]): row["label"] for row in await self.rows(tables.codes)}
        companies = {row["external_id"]: row["name"] for row in await self.rows(tables.companies)}
        return {
            (str(row["external_id"]), ""): {
                "subject": " ".join((row["subject"] or "").split()),
                "status": codes["status", row["status"]],
                "priority": codes["priority", row["priority"]],
                "company": companies.get(row["customer_id"]),
                "visibility": "public",
            }
            for row in await self.rows(tables.tickets)
        }


def _name(row: Mapping[str, Any]) -> str | None:
    """A company's or person's name: Freshservice tells first and last names apart."""
    if "name" in row:
        return str(row["name"])
    return " ".join(part for part in (row["first_name"], row["last_name"]) if part) or None


_SHOWN = {
    documents.TICKETS: ("subject", "status", "priority", "company", "visibility"),
    documents.ARTICLES: ("title", "status", "visibility"),
}
"""The payload fields that are compared."""


@asynccontextmanager
async def rig(desk: HelpDesk[Any], home: Path, **settings: Any) -> AsyncIterator[Rig]:
    """A rig over `desk`, served on loopback and open; `settings` as `Rig` takes them."""
    with SandboxServer(desk) as server:
        made = Rig(desk, server.url, home, **settings)
        await made.open()
        try:
            yield made
        finally:
            await made.close()


Install = Callable[..., AbstractAsyncContextManager[Rig]]
"""Opens a rig over a desk, in the home and on the database of a test (fixture `install`); settings by name."""
