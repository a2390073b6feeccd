"""What is odd about the companies of a Freshservice account stands in the run, which goes on all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.rig import Rig
from tests.sources.servicedesk import MADE, empty_service, put_department, put_requester

from deskloom.record import tables
from deskloom.record.runs import Run
from deskloom.sandbox import SandboxServer
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.settings import Settings


class ServiceRig(Rig):
    """A rig whose only source is a Freshservice account."""

    def __init__(self, desk: Any, url: str, home: Path, **settings: Any) -> None:
        super().__init__(desk, url, home)
        self.settings = Settings(
            _env_file=None, home=home, freshservice_domain=url, freshservice_api_key=desk.key, retries=0, **settings
        )

    async def next_day(self) -> None:
        """A day and some minutes pass at the helpdesk, which the first answer tells."""
        self.desk.clock.advance(86_400 + 600)
        await self.sync("tickets")

    async def start(self, stream: str = "tickets", **options: Any) -> Run:
        return await self.app.dispatcher.submit(source="freshservice", stream=stream, requested_by="test", **options)


@asynccontextmanager
async def rig(desk: FreshserviceDesk, home: Path, **settings: Any) -> AsyncIterator[ServiceRig]:
    with SandboxServer(desk) as server:  # type: ignore[arg-type]
        made = ServiceRig(desk, server.url, home, **settings)
        await made.open()
        try:
            yield made
        finally:
            await made.close()


def customers() -> FreshserviceDesk:
    """Two departments with one account number, and somebody who has a ticket."""
    desk = empty_service()
    put_department(desk, 11, "Alpha", account_number=104233, site="Porto")
    put_department(desk, 12, "Beta", account_number="104233")
    put_requester(desk, 100, "Ada", department_ids=[11])
    row = {"id": 1, "subject": "VPN drops", "description": "<p>It drops.</p>", "status": 2, "priority": 1, "source": 2}
    desk.tickets.put({**row, "requester_id": 100, "department_id": 11, "workspace_id": 2, **MADE})
    return desk


async def test_companies_that_share_an_account_number_are_named_in_the_run(tmp_path: Path) -> None:
    """Both names and the number stand in the run's errors and in the queue, until the helpdesk tells them apart."""
    desk = customers()
    async with rig(desk, tmp_path / "home") as made:
        run = await made.sync("tickets")
        said = (
            "2 companies have the account number 104233: Alpha (11), Beta (12). Give each its own at the helpdesk; "
            "until then their tickets count as those of one customer."
        )
        assert (run.state, run.errors, run.error_count, run.counts["created"]) == ("succeeded", [said], 0, 1)
        assert [(row["stream"], row["key"], row["reason"]) for row in await made.rows(tables.failures)] == [
            ("companies", "*", said)
        ]
        assert [row["account_number"] for row in await made.rows(tables.companies)] == ["104233", "104233"]
        desk.departments.change(12, custom_fields={"account_number": 104234})
        assert (await made.sync("tickets")).errors == []  # read again a day later
        assert len(await made.rows(tables.failures)) == 1
        await made.next_day()
        assert (await made.sync("tickets")).errors == []
        assert await made.rows(tables.failures) == []


async def test_an_account_field_that_does_not_exist_is_named_once_and_mended_at_once(tmp_path: Path) -> None:
    """The run stores companies without numbers and names the fields there are; the right setting is taken at once."""
    desk = customers()
    desk.departments.drop(12)
    async with rig(desk, tmp_path / "home", freshservice_account_field="account_no") as made:
        (error,) = (await made.sync("tickets")).errors
        assert error.startswith('No department of Freshservice "127.0.0.1" has a field "account_no", so companies get')
        assert "It has: account_number, site." in error
        assert (await made.sync("tickets")).errors == []
    async with rig(desk, tmp_path / "home") as made:
        assert (await made.sync("tickets")).state == "succeeded"
        assert [row["account_number"] for row in await made.rows(tables.companies)] == ["104233"]
        assert await made.rows(tables.failures) == []


async def test_deactivated_and_forgotten_people_are_gone_and_their_tickets_keep_their_names(tmp_path: Path) -> None:
    """T23: a deactivated requester stays as a deleted contact; one that a complete listing lacks is proven gone."""
    desk = customers()
    put_requester(desk, 101, "Bob")
    put_requester(desk, 102, "Cy")
    async with rig(desk, tmp_path / "home", max_delete_share=1.0) as made:
        await made.sync("tickets")
        desk.perform({"method": "DELETE", "path": "requesters/100"})
        desk.requesters.drop(101)
        desk.departments.drop(12)
        await made.next_day()
        await made.sync("tickets")
        people = {row["name"]: row["deleted_at"] is None for row in await made.rows(tables.contacts)}
        companies = {row["name"]: row["deleted_at"] is None for row in await made.rows(tables.companies)}
    assert people == {"Ada": False, "Bob": False, "Cy": True}
    assert companies == {"Alpha": True, "Beta": False}
