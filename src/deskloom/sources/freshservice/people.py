"""Requesters as contacts, and agents (HELPDESK-APIS 3.9)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from deskloom.errors import AccessRefused, SourceRejected, SourceUnavailable, Unreadable
from deskloom.model import Agent, Contact, Cursor, Json, Kind, Page
from deskloom.protocols import Known, Listed, nothing_known
from deskloom.sources.freshservice.workspaces import Division, Workspaces, company_of_client
from deskloom.sources.freshworks.listing import as_listed
from deskloom.sources.freshworks.lists import Found, is_due, read_pages, warning
from deskloom.sources.freshworks.reader import Absent, Reader, Rows
from deskloom.sources.freshworks.values import fingerprint, instant, integer, iso, object_of, text, texts

# ------------------------------------------------------------------------------------------------------------- agents


async def list_agents(reader: Reader) -> list[Agent]:
    """The account's agents, of all workspaces; raises where the key may not read them."""
    try:
        return [to_agent(row) for row in await reader.every("/agents", kind="agents", refusals=1)]
    except Absent:
        raise reader.nowhere("/agents") from None


async def find_agents(reader: Reader) -> Found:
    """The account's agents; where the key may not read them, a warning, and those read before stay."""
    try:
        return Found(await list_agents(reader))
    except AccessRefused as error:
        return Found((), (warning(Kind.AGENT, error.message),), complete=False)


async def fetch_agent(reader: Reader, key: str) -> Agent | None:
    """One agent by id; None when there is none."""
    try:
        return to_agent(await reader.one(f"/agents/{key}", kind="one agent", refusals=1))
    except Absent:
        return None
    except AccessRefused as error:
        raise Unreadable(error.message, key=key) from None


def to_agent(row: Json) -> Agent:
    """An agent. Names are not nested as in Freshdesk; when somebody was last seen does not count as a change."""
    values: dict[str, Any] = {
        "name": _name(row),
        "email": text(row.get("email")),
        "active": row.get("active") is not False,
        "created_at": instant(row.get("created_at")),
        "updated_at": instant(row.get("updated_at")),
    }
    return Agent(external_id=int(row["id"]), stamp=fingerprint(values), raw=row, **values)


def _name(row: Json) -> str | None:
    """First and last name; `last_name` is often null."""
    return " ".join(part.strip() for name in ("first_name", "last_name") if (part := text(row.get(name)))) or None


# --------------------------------------------------------------------------------------------------------- requesters


def to_contact(row: Json, division: Division) -> Contact:
    """A requester. With one department it belongs to that; with several it is not known to which, so to none of them.

    In MSP accounts one without a department belongs to its client, if it has one only. A deactivated requester is
    what the helpdesk calls deleted (T23).
    """
    departments = _ids(row.get("department_ids"))
    homes = [one for one in _ids(row.get("belongs_to_workspace_ids")) if (it := division.get(one)) and it.client]
    companies = departments or tuple(company_of_client(one) for one in homes)
    values: dict[str, Any] = {
        "name": _name(row),
        "email": text(row.get("primary_email")),
        "other_emails": texts(row.get("secondary_emails")) or (),
        "phone": text(row.get("work_phone_number")),
        "mobile": text(row.get("mobile_phone_number")),
        "company_id": companies[0] if len(companies) == 1 else None,
        "other_company_ids": companies if len(companies) > 1 else (),
        "language": text(row.get("language")),
        "job_title": text(row.get("job_title")),
        "deleted": row.get("active") is False,
        "custom_fields": object_of(row.get("custom_fields")),
        "created_at": instant(row.get("created_at")),
        "updated_at": instant(row.get("updated_at")),
    }
    stamp = f"{text(row.get('updated_at'))} {fingerprint(values)}"
    return Contact(external_id=int(row["id"]), stamp=stamp, raw=row, **values)


def _ids(value: object) -> tuple[int, ...]:
    found = (integer(one) for one in value) if isinstance(value, list) else ()
    return tuple(dict.fromkeys(one for one in found if one is not None))


@dataclass(slots=True)
class _Round:
    """One read of the list: which part each requester was met in, and whether it saw everything."""

    whole: bool
    met: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Requesters:
    """Reads the requesters of one account, page by page: there may be tens of thousands, and there is no update filter.

    So the list is walked once a day, by position (`walk`), and goes on where it was stopped. Agents are left out of it,
    as is the default: asking for them takes rights of its own, and they are known as agents (T48).
    """

    reader: Reader
    workspaces: Workspaces

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """Pages of changed contacts. The last one has the whole listing, if one read saw all of it."""
        cursor: Json = dict(after or {})
        resumed = "walk" in cursor
        if not resumed and not is_due(self.reader, after):
            return
        division = await self.workspaces.division()
        place: Json = cursor.get("walk") or {"began": iso(self.reader.client.now())}
        this = _Round(whole=not resumed and division.refused is None)
        left = limit
        for part in _parts(division):
            if part in place.get("done", ()):
                continue
            try:
                async with aclosing(self._part(part, place, division, this, left, known)) as pages:
                    async for page in pages:
                        left = None if left is None else left - len(page.records)
                        place = page.cursor
                        if page.records:
                            yield Page(records=page.records, cursor={"walk": place})
                        if left == 0:
                            return
            except AccessRefused as error:
                this.said.append(error.message)
                this.whole = False
                place = _skip(place, part)
            except (Absent, SourceRejected) as error:
                this.whole = self._is_none(error, part, division) and this.whole
                place = _skip(place, part)
        said = [*([division.refused] if division.refused else ()), *this.said]
        yield Page(
            records=(),
            failures=(warning(Kind.CONTACT, " ".join(said)),) if said else (),
            cursor={"listed_at": place["began"]},
            listing=frozenset(this.met) if this.whole else None,
        )

    async def listing(self) -> AsyncIterator[Sequence[Listed]]:
        """Every requester, the deactivated ones as gone as far as the helpdesk lists them: as many calls as a read."""
        division = await self.workspaces.division()
        if division.refused:
            raise AccessRefused(division.refused)
        this = _Round(whole=True)
        for part in _parts(division):
            try:
                async with aclosing(self._part(part, {}, division, this, None, nothing_known)) as pages:
                    async for page in pages:
                        yield as_listed(page.records)
            except (Absent, SourceRejected) as error:
                if not self._is_none(error, part, division):
                    raise SourceUnavailable(f"A client of {self.reader.client.title} went away. Try again.") from None

    async def fetch(self, key: str) -> Contact | None:
        """One requester by id; None when there is none (an agent is none)."""
        try:
            row = await self.reader.one(f"/requesters/{key}", kind="one requester", refusals=1)
        except Absent:
            return None
        except AccessRefused as error:
            raise Unreadable(error.message, key=key) from None
        return to_contact(row, await self.workspaces.division())

    async def _part(
        self, part: str, before: Json, division: Division, this: _Round, left: int | None, known: Known
    ) -> AsyncGenerator[Page, None]:
        """The requesters of one client, or of the account. Who belongs to several clients comes with the first."""
        cursor = dict(before)
        where: Json = {"belongs_to_workspace_ids": part} if part else {}

        async def get(page: int, size: int) -> Rows:
            params = {**where, "page": page, "per_page": size}
            return await self.reader.page("/requesters", params, kind="requesters", refusals=1)

        def make(row: Json) -> Contact | None:
            contact = to_contact(row, division)
            return contact if this.met.setdefault(contact.key, part) == part else None

        pages = read_pages(get, cursor, make, part=part, kind=Kind.CONTACT, left=left, known=known)
        async with aclosing(pages):
            async for page in pages:
                yield page

    def _is_none(self, error: Absent | SourceRejected, part: str, division: Division) -> bool:
        """Whether a list is not there because its workspace is no client (True), or has gone away since (False)."""
        if not part:
            raise self.reader.nowhere("/requesters") if isinstance(error, Absent) else error
        one = division.get(int(part))
        client = one is not None and one.client
        if client and isinstance(error, SourceRejected):
            raise error
        return not client


def _parts(division: Division) -> list[str]:
    """The lists that make up the account: one for each client of an MSP account (rule 13), else one."""
    return [str(one.id) for one in division.workspaces] if division.msp else [""]


def _skip(place: Json, part: str) -> Json:
    kept = {name: value for name, value in place.items() if name not in ("covered", "seen")}
    return kept | {"done": [*kept.get("done", ()), part]}
