"""Freshservice's code tables and groups: the account's own labels, over all workspaces (HELPDESK-APIS 3.5, 3.10)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.fault_server import FakeTime, Reply, serve
from tests.sources.desk import Shelf
from tests.sources.servicedesk import MADE, empty_service, open_service, put_workspace, reading_service

from deskloom.model import Codes, Kind
from deskloom.sandbox import Fault
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.sources.freshservice.codes import FIXED_CODES, choice_labels

A_DAY = 86_400 + 600


def labels(shelf: Shelf) -> dict[str, dict[int, str]]:
    return {key: dict(one.labels) for (_, key), one in shelf.records.items() if isinstance(one, Codes)}


async def read_all(desk: FreshserviceDesk, **options: Any) -> Shelf:
    shelf = Shelf()
    async with reading_service(desk, **options) as source:
        await shelf.read(source, "codes")
    return shelf


def spaced() -> FreshserviceDesk:
    """Two workspaces beside the primary one, with a group each."""
    desk = empty_service()
    for key, name in ((2, "IT"), (4, "HR"), (5, "Facilities")):
        put_workspace(desk, key, name)
        desk.groups.put({"id": 90_000_000_000 + key, "name": f"{name} group", "workspace_id": key, **MADE})
    return desk


def form(*fields: tuple[str, list[dict[str, Any]]]) -> Reply:
    rows = [{"id": at, "name": name, "default_field": True, "choices": rows} for at, (name, rows) in enumerate(fields)]
    return Reply(body={"ticket_fields": rows})


@pytest.mark.parametrize(
    ("choices", "found"),
    [
        ([{"id": 2, "value": "Open", "requester_display_value": "Being Processed"}], {2: "Open"}),
        ([{"id": "8", "value": "Scheduled"}, {"id": None, "value": "x"}, {"id": 9, "value": None}], {8: "Scheduled"}),
        ([{"id": 1001, "value": "Monitoring"}, "Email", None], {1001: "Monitoring"}),
        ({"Email": 1}, {}),
        (None, {}),
    ],
)
def test_choices_are_lists_of_id_and_value(choices: object, found: dict[int, str]) -> None:
    """3.10: the agents' own label is the value; what is no such entry holds no code."""
    assert choice_labels(choices) == found


async def test_the_accounts_own_labels_are_read() -> None:
    """Custom statuses and sources have their own words; groups are a table too; two calls a day, none in between."""
    desk = empty_service()
    desk.groups.put({"id": 90_000_000_001, "name": "Network", "workspace_id": 2, **MADE})
    shelf = Shelf()
    async with reading_service(desk) as source:
        assert await shelf.read(source, "codes") == 6
        assert desk.calls.endpoints == {"GET /workspaces": 1, "GET /ticket_form_fields": 1, "GET /groups": 1}
        assert await shelf.read(source, "codes") == 0
        assert desk.calls.total == 3
        assert await source.fetch("codes", "group") == shelf.records[Kind.CODES, "group"]
        assert await source.fetch("codes", "mood") is None
        desk.groups.change(90_000_000_001, name="Networks")
        desk.clock.advance(A_DAY)
        assert await shelf.read(source, "codes") == 1
    found = labels(shelf)
    assert found.keys() == {"status", "priority", "channel", "urgency", "impact", "group"}
    assert (found["status"][15], found["channel"][1001], found["group"]) == (
        "Job Complete - Bill", "Monitoring", {90_000_000_001: "Networks"},
    )  # fmt: skip


async def test_groups_of_every_workspace_are_read() -> None:
    """3.9: one workspace's groups are listed at a time, and all of them at once cannot be had."""
    shelf = await read_all(spaced())
    assert labels(shelf)["group"] == {
        90_000_000_002: "IT group", 90_000_000_004: "HR group", 90_000_000_005: "Facilities group",
    }  # fmt: skip
    assert shelf.failures == []


async def test_labels_that_differ_between_workspaces_are_told() -> None:
    """One number, two words: the primary workspace's is shown, and the sentence names both."""

    def script(request: Any) -> Reply:
        if "/workspaces" in request.target:
            rows = [{"id": 4, "name": "HR", "primary": False}, {"id": 2, "name": "IT", "primary": True}]
            return Reply(body={"workspaces": rows})
        if "/groups" in request.target:
            return Reply(body={"groups": []})
        own = "Scheduled" if "workspace_id=2" in request.target else "On hold"
        choices = [{"id": 2, "value": "Open"}, {"id": 8, "value": own}]
        more = [{"id": 9, "value": "Interview"}] if own == "On hold" else []
        return form(("status", choices + more), ("hobby", [{"id": 8, "value": "Chess"}]))

    async with serve(script) as serving:
        source = open_service(empty_service(), serving.url, timing=FakeTime().timing())
        shelf = Shelf()
        await shelf.read(source, "codes")
        await source.aclose()
    assert labels(shelf)["status"] == {2: "Open", 8: "Scheduled", 9: "Interview"}
    assert [one.reason for one in shelf.failures] == [
        'status 8 is "Scheduled" in workspace "IT", which is shown, and "On hold" in workspace "HR".'
    ]


async def test_a_table_the_account_does_not_show_is_the_fixed_one() -> None:
    """Fields can be hidden; what every account has stands in, with Freshservice's numbers: Chat is 4 here, not 7."""
    desk = empty_service()
    desk.ticket_fields = [field for field in desk.ticket_fields if field["name"] != "source"]
    found = labels(await read_all(desk))
    assert found["channel"] == FIXED_CODES["channel"]
    assert (found["channel"][4], found["channel"][7], found["channel"][9]) == ("Chat", "AWS CloudWatch", "Walk-up")


async def test_codes_that_are_closed_to_the_key_are_the_fixed_ones_if_there_are_none() -> None:
    """The account's own labels, once read, are not overwritten by fewer because a right was taken away."""
    desk = empty_service()
    shelf = Shelf()
    async with reading_service(desk) as source:
        desk.faults.add(Fault(match="/ticket_form_fields|/groups", kind="403", times=None))
        await shelf.read(source, "codes")
        assert labels(shelf) == FIXED_CODES
        assert [(one.kind, one.key, one.retry) for one in shelf.failures] == [(Kind.CODES, "*", False)]
        desk.faults.clear()
        desk.clock.advance(A_DAY)
        assert await shelf.read(source, "codes") == 2  # status and channel are not the fixed ones
        own = labels(shelf)
        desk.faults.add(Fault(match="/ticket_form_fields|/groups", kind="403", times=None))
        desk.clock.advance(A_DAY)
        assert await shelf.read(source, "codes") == 0
    assert labels(shelf) == own


async def test_one_workspace_that_is_closed_does_not_hide_the_others() -> None:
    """Its groups are missing, and the warning names it."""
    desk = spaced()
    desk.faults.add(Fault(match="/groups.*workspace_id=4", kind="403", times=None))
    shelf = await read_all(desk)
    assert labels(shelf)["group"].keys() == {90_000_000_002, 90_000_000_005}
    (failure,) = shelf.failures
    assert failure.reason.startswith('workspace "HR": Freshservice "127.0.0.1" does not let this key read')
