"""Departments as companies, and in MSP accounts the clients too; where their account numbers stand (3.8, 5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deskloom.errors import AccessRefused, SourceRejected, SourceUnavailable, Unreadable
from deskloom.model import Company, ItemFailure, Json, Kind
from deskloom.sources.freshservice.workspaces import Division, Workspace, Workspaces, company_of_client
from deskloom.sources.freshworks.lists import Found, list_whole, warning
from deskloom.sources.freshworks.reader import Absent, Reader, Rows
from deskloom.sources.freshworks.values import account_number, fingerprint, instant, integer, object_of, text, texts

_NAMED = 10
"""Most account numbers that one warning names."""


@dataclass(slots=True)
class Departments:
    """Reads the departments of one account. `field` is the custom field with the account number; blank: there is none.

    The number is looked up on the department and, in MSP accounts, on its client where the department has none.
    """

    reader: Reader
    workspaces: Workspaces
    field: str

    async def find(self) -> Found:
        """Every department, and every client of an MSP account; and what is odd about their account numbers."""
        division = await self.workspaces.division()
        said = [division.refused] if division.refused else []
        rows: dict[int, Json] = {}
        complete = not said
        for part in division.workspaces if division.msp else (None,):
            try:
                rows |= {int(row["id"]): row for row in await self._list(part)}
            except Absent:
                complete = complete and part is not None and not part.client  # a client that has gone away since
            except SourceRejected:
                if part is None or part.client:
                    raise  # only what is no client has no departments
            except AccessRefused as error:
                said.append(error.message)
                complete = False
        companies = [self._company(row, division) for row in rows.values()]
        companies += [self._client(one) for one in division.clients]
        if rows and (lacking := await self._lacking(_names(one.custom_fields for one in companies))):
            said.append(lacking)
        said += self._shared(companies)
        return Found(companies, _warnings(said), complete)

    async def fetch(self, key: str) -> Company | None:
        """One department by its id, or a client by its negative one; None when it is gone."""
        division = await self.workspaces.division()
        if key.startswith("-"):
            return next((self._client(one) for one in division.clients if one.id == -int(key)), None)
        try:
            row = await self.reader.one(f"/departments/{key}", kind="one department", refusals=1)
        except Absent:
            return None
        except AccessRefused as error:
            raise Unreadable(error.message, key=key) from None
        return self._company(row, division)

    async def every(self) -> list[Company]:
        """As `find`, for a listing: raises where a part of the account is closed to the key, or went away."""
        found = await self.find()
        if not found.complete and found.warnings:
            raise AccessRefused(found.warnings[0].reason)
        if not found.complete:
            raise SourceUnavailable(f"A client of {self.reader.client.title} went away. Try again.")
        return [one for one in found.records if isinstance(one, Company)]

    async def check(self) -> list[str]:
        """What is to be said about the field of the account number: nothing, if departments or clients have it."""
        division = await self.workspaces.division()
        try:
            page = await self.reader.page("/departments", {"page": 1, "per_page": 100}, kind="departments", refusals=1)
        except (Absent, AccessRefused):
            return []  # `find` tells
        fields = [one.fields for one in division.clients] + [object_of(row.get("custom_fields")) for row in page.rows]
        lacking = await self._lacking(_names(fields))
        return [lacking] if lacking else []

    # ------------------------------------------------------------------------------------------------------- records

    def _company(self, row: Json, division: Division) -> Company:
        fields = object_of(row.get("custom_fields"))
        workspace = integer(row.get("workspace_id"))
        client = division.get(workspace)
        number = account_number(fields, self.field)
        if number is None and client is not None and client.client:
            number = account_number(client.fields, self.field)
        domains = texts(row.get("domains")) or ()
        return _made(int(row["id"]), row, domains=domains, fields=fields, number=number, workspace=workspace)

    def _client(self, one: Workspace) -> Company:
        """A client as a company of its own: a ticket or contact of the client without a department belongs to it."""
        domains = texts(object_of(one.row.get("metadata")).get("email_domains")) or ()
        number = account_number(one.fields, self.field)
        return _made(
            company_of_client(one.id), one.row, domains=domains, fields=one.fields, number=number, workspace=one.id
        )

    async def _list(self, part: Workspace | None) -> list[Json]:
        """The departments of one client, or of the account."""
        where: Json = {} if part is None else {"workspace_id": part.id}

        async def get(page: int, size: int) -> Rows:
            params = {**where, "page": page, "per_page": size}
            return await self.reader.page("/departments", params, kind="departments", refusals=1)

        try:
            return await list_whole(get)
        except Absent:
            if part is None:
                raise self.reader.nowhere("/departments") from None
            raise

    # ------------------------------------------------------------------------------------------------ account numbers

    async def _lacking(self, seen: set[str]) -> str | None:
        """The sentence that the field does not exist; `seen` are the fields that departments and clients have."""
        wanted = self.field.strip().removeprefix("cf_")
        if not wanted or wanted in seen:
            return None
        try:
            rows = await self.reader.every("/department_fields", kind="department fields", refusals=1)
        except (Absent, AccessRefused):
            rows = []
        own = (text(row.get("name")) for row in rows if row.get("is_default_field") is not True)
        seen = seen | {name.removeprefix("cf_") for name in own if name}
        if wanted in seen or not (rows or seen):
            return None
        there = f"It has: {', '.join(sorted(seen))}" if seen else "It has no fields of its own"
        return (
            f'No department of {self.reader.client.title} has a field "{self.field}", so companies get no account '
            f"number. {there}. Set {self.reader.product.title.upper()}_ACCOUNT_FIELD, or account_field in "
            f"deskloom.toml, to the right one; to nothing if there is none."
        )

    def _shared(self, companies: Sequence[Company]) -> list[str]:
        """Sentences about account numbers that several companies have. Departments may share that of their client."""
        numbers = {one.external_id: account_number(one.custom_fields, self.field) for one in companies}
        holders: dict[str, dict[int, Company]] = {}
        for one in companies:
            client = 0 if one.workspace_id is None else company_of_client(one.workspace_id)
            number = numbers[one.external_id]
            if number is not None and (client == one.external_id or numbers.get(client) != number):
                holders.setdefault(number, {})[one.external_id] = one
        twice = [(number, sorted(ones.items())) for number, ones in sorted(holders.items()) if len(ones) > 1]
        said = [
            f"{len(ones)} companies have the account number {number}: "
            f"{', '.join(f'{one.name or None} ({id})' for id, one in ones)}. Give each its own at the helpdesk; until "
            f"then their tickets count as those of one customer."
            for number, ones in twice[:_NAMED]
        ]
        if len(twice) > _NAMED:
            said.append(f"{len(twice) - _NAMED} more account numbers are held by several companies.")
        return said


def _made(
    id: int, row: Json, *, domains: tuple[str, ...], fields: Json, number: str | None, workspace: int | None
) -> Company:
    """The stamp holds the account number, since a change of the client, or of the setting, may change it."""
    name, description = text(row.get("name")), text(row.get("description"))
    mark = fingerprint(name, description, domains, fields, number, workspace)
    return Company(
        external_id=id,
        stamp=f"{text(row.get('updated_at'))} {mark}",
        name=name,
        description=description,
        account_number=number,
        workspace_id=workspace,
        domains=domains,
        custom_fields=fields,
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
    )


def _names(fields: Iterable[Json]) -> set[str]:
    return {name.removeprefix("cf_") for one in fields for name in one}


def _warnings(said: list[str]) -> tuple[ItemFailure, ...]:
    """All that is odd in one warning: it goes away as a whole when the list is read without."""
    return (warning(Kind.COMPANY, " ".join(said)),) if said else ()
