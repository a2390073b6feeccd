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

    async def differences(self, *, hours: bool = False) -> list[str]:
        """Where source, record and index disagree, in words; empty when they agree. `hours`: time entries too, which
        a full run of their stream has just read."""
        found = [*await self._record_against_source(), *await self._index_against_record()]
        return [*found, *(await self._hours_against_source() if hours else [])]

    async def _record_against_source(self) -> list[str]:
        found: list[str] = []
        tickets = {row["external_id"]: row for row in await self.rows(tables.tickets)}
        messages: dict[int, dict[int, Mapping[str, Any]]] = {}
        for row in await self.rows(tables.messages):
            messages.setdefault(row["ticket_id"], {})[row["external_id"]] = row
        said: dict[int, dict[int, Mapping[str, Any]]] = {}
        for row in state.whole(self.desk, "conversations"):
            said.setdefault(row["ticket_id"], {})[row["id"]] = row
        employers = {
            row["external_id"]: row["company_id"]
            for row in await self.rows(tables.contacts)
            if not row["other_company_ids"]
        }
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
            for name, wanted in self._said(truth).items():
                if ours[name] != wanted:
                    found.append(f"ticket {truth['id']}: {name} is {ours[name]!r}, not {wanted!r}")
            customer = ours["company_id"] or employers.get(ours["requester_id"])
            if ours["customer_id"] != customer:
                found.append(f"ticket {truth['id']} belongs to {ours['customer_id']!r}, not {customer!r}")
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

    def _said(self, truth: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of a ticket as they should be."""
        said = {name: truth[name] for name in ("subject", "status", "priority", "type", "requester_id")}
        if self.product == "freshdesk":
            return said | {"company_id": truth["company_id"], "workspace_id": None}
        client = -truth["workspace_id"] if truth["workspace_id"] in self._clients() else None
        return said | {"company_id": truth["department_id"] or client, "workspace_id": truth["workspace_id"]}

    def _clients(self) -> dict[int, str]:
        """An MSP's clients, which are companies too: id → name."""
        rows = state.whole(self.desk, "workspaces") if self.product == "freshservice" else []
        return {row["id"]: row["name"] for row in rows if row["type"] == "client"}

    async def _people_against_source(self) -> list[str]:
        """Names of companies; names and companies of contacts. A deleted contact may be missing, or stand as it last
        was."""
        clients = self._clients()
        freshdesk = self.product == "freshdesk"
        named = {row["id"]: row["name"] for row in state.whole(self.desk, "companies" if freshdesk else "departments")}
        named |= {-id: name for id, name in clients.items()}
        # An inactive contact of Freshdesk is one that was not verified; a requester of Freshservice is gone.
        people = {
            row["id"]: (_name(row), _employers(row, clients))
            for row in state.whole(self.desk, "contacts" if freshdesk else "requesters")
            if not (row.get("deleted") if freshdesk else row["active"] is False)
        }
        known = {row["external_id"]: row["name"] for row in await self.rows(tables.companies) if not row["deleted_at"]}
        ours = {
            row["external_id"]: (row["name"], sorted({row["company_id"], *row["other_company_ids"]} - {None}))
            for row in await self.rows(tables.contacts)
            if row["deleted_at"] is None and not row["deleted"]
        }
        return [*_unequal("company", known, named), *_unequal("contact", ours, people)]

    async def _articles_against_source(self) -> list[str]:
        ours = {
            (row["external_id"], row["language"]): row["title"]
            for row in await self.rows(tables.articles)
            if row["deleted_at"] is None
        }
        return _unequal("article", ours, self.article_titles())

    def article_titles(self) -> dict[tuple[int, str], str]:
        """Every article of the desk in every language it has: (id, language) → title.

        Freshservice's lists may not tell the language: it is "und" then.
        """
        told = self.product == "freshdesk" or self.desk.switches.article_language == "always"
        rows = state.whole(self.desk, "articles")
        return {(row["id"], row["language"] if told else "und"): row["title"] for row in rows}

    async def _hours_against_source(self) -> list[str]:
        """Every entry whose timer does not run; at Freshservice, which has no list of them, of tickets that are not
        deleted, and to the minute unless seconds are told."""
        freshdesk = self.product == "freshdesk"
        hidden = {row["id"] for row in self.desk.tickets if row.get("deleted") or row.get("spam")}
        hidden = set() if freshdesk else hidden
        unit = 1 if freshdesk or self.desk.switches.time_spent_seconds else 60
        truth = {
            row["id"]: (row["ticket_id"], row["time_spent_in_seconds"] // unit * unit, row["billable"],
                        row["executed_at"], row["note"] or None)
            for row in state.whole(self.desk, "time_entries")
            if not row["timer_running"] and row["ticket_id"] not in hidden
        }  # fmt: skip
        ours = {
            row["external_id"]: (row["ticket_id"], row["seconds"], row["billable"],
                                 f"{row['worked_at']:%Y-%m-%dT%H:%M:%SZ}", row["note"])
            for row in await self.rows(tables.time_entries)
            if row["deleted_at"] is None and row["ticket_id"] not in hidden
        }  # fmt: skip
        return _unequal("time entry", ours, truth)

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


def _employers(row: Mapping[str, Any], clients: Mapping[int, str]) -> list[int]:
    """The companies of a person: all departments, or else the clients, that they are in."""
    if "department_ids" in row:
        homes = [-id for id in row.get("belongs_to_workspace_ids", ()) if id in clients]
        return sorted(set(row["department_ids"]) or set(homes))
    others = [other["company_id"] for other in row.get("other_companies") or ()]
    return sorted({row.get("company_id"), *others} - {None})


def _unequal(what: str, ours: Mapping[Any, Any], truth: Mapping[Any, Any]) -> list[str]:
    return [
        f"{what} {key}: {ours.get(key)!r} instead of {truth.get(key)!r}"
        for key in sorted(ours.keys() | truth.keys())
        if ours.get(key) != truth.get(key)
    ]


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
