"""Freshservice's departments, clients, requesters and agents, and their traps (HELPDESK-APIS 3.8, 3.9, 5.1)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.fault_server import FakeTime, Reply, in_turn, serve
from tests.sources.desk import Shelf
from tests.sources.servicedesk import (
    MADE,
    empty_service,
    open_service,
    put_department,
    put_requester,
    put_workspace,
    reading_service,
)

from deskloom.errors import AccessRefused, InvalidRequest, NotFound
from deskloom.model import Agent, Company, Contact, Kind, Record
from deskloom.protocols import Listed, Source
from deskloom.sandbox import Fault
from deskloom.sandbox.freshservice import FreshserviceDesk

A_DAY = 86_400 + 600


async def read_all(desk: FreshserviceDesk, stream: str, **options: Any) -> Shelf:
    shelf = Shelf()
    async with reading_service(desk, **options) as source:
        await shelf.read(source, stream)
    return shelf


async def listed(source: Source, stream: str) -> dict[str, Listed]:
    return {one.key: one async for batch in source.listing(stream) for one in batch}


def numbers(shelf: Shelf) -> dict[str, str | None]:
    return {key: one.account_number for (_, key), one in shelf.records.items() if isinstance(one, Company)}


def contact_of(shelf: Shelf, key: int) -> Contact:
    found = shelf.records[Kind.CONTACT, str(key)]
    assert isinstance(found, Contact)
    return found


def reasons(shelf: Shelf) -> list[str]:
    assert all((one.key, one.retry) == ("*", False) for one in shelf.failures)
    return [one.reason for one in shelf.failures]


def clients() -> FreshserviceDesk:
    """An MSP's account: the default client 2, the MSP itself as 3, and client 7, whose own number is 77."""
    desk = empty_service(msp=True)
    put_workspace(desk, 2, "Default", kind="client")
    put_workspace(desk, 3, "The MSP", kind="client")
    put_workspace(desk, 7, "Seven Ltd", kind="client", account_number=77)
    return desk


# -------------------------------------------------------------------------------------------------------- departments


async def test_account_numbers_are_trimmed_text_whatever_the_field_is() -> None:
    """Integers become text, blanks and zero are missing, and the prefix of the configured key does not matter (5.1)."""
    desk = empty_service()
    given = [104233, " 104233x ", 0, "", None, "0042"]
    for key, number in enumerate(given, 1):
        put_department(desk, key, f"D{key}", account_number=number)
    put_department(desk, 9, "D9")
    expected = dict(zip("123456", ["104233", "104233x", None, None, None, "0042"], strict=True)) | {"9": None}
    for field in ("account_number", "cf_account_number"):
        shelf = await read_all(desk, "companies", account_field=field)
        assert (numbers(shelf), reasons(shelf)) == (expected, [])


async def test_a_department_is_a_company_with_its_domains() -> None:
    """Name, domains and fields arrive as given, and fetching a department gives what reading it gave."""
    desk = empty_service()
    put_department(desk, 5, "Works", account_number=7, plan="gold")
    desk.departments.change(5, domains=["works.example"], description="They print")
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "companies")
        company = shelf.records[Kind.COMPANY, "5"]
        assert isinstance(company, Company)
        assert (company.name, company.description, company.domains, company.custom_fields, company.workspace_id) == (
            "Works", "They print", ("works.example",), {"account_number": 7, "plan": "gold"}, 2,
        )  # fmt: skip
        assert await source.fetch("companies", "5") == company
        assert await source.fetch("companies", "6") is None
        assert source.link(Kind.COMPANY, "5") == f"{source._client.address.url}/itil/departments/5"
        with pytest.raises(InvalidRequest, match='"D5" is not an id of companies'):
            await source.fetch("companies", "D5")


async def test_departments_are_read_whole_once_a_day_and_at_once_for_another_field() -> None:
    """There is no update filter: a day later only what changed comes, and another account field does not wait."""
    desk = empty_service()
    for key in range(1, 131):
        put_department(desk, key, f"D{key:03}", account_number=key, old_number=1000 + key)
    shelf = Shelf()
    async with reading_service(desk) as source:
        assert await shelf.read(source, "companies") == 130
        desk.perform({"method": "PUT", "path": "departments/7", "body": {"name": "Seven"}})
        desk.calls.reset()
        assert await shelf.read(source, "companies") == 0
        assert desk.calls.total == 0
        desk.clock.advance(A_DAY)
        assert await shelf.read(source, "companies") == 1
        assert shelf.listing == {str(key) for key in range(1, 131)}
    async with reading_service(desk, account_field="old_number") as source:
        assert await shelf.read(source, "companies") == 130
    assert numbers(shelf)["7"] == "1007"


async def test_departments_of_every_client_are_read() -> None:
    """Rule 13: an MSP's list without a client shows client 2 alone, so each client's is asked for."""
    desk = clients()
    for key, client in ((1, 2), (2, 3), (3, 7)):
        put_department(desk, key, f"D{key}", workspace=client)
    shelf = await read_all(desk, "companies")
    spaces = {key: one.workspace_id for (_, key), one in shelf.records.items() if isinstance(one, Company)}
    assert spaces == {"1": 2, "2": 3, "3": 7, "-2": 2, "-3": 3, "-7": 7}


async def test_the_account_number_may_stand_on_the_client() -> None:
    """5.1: the department's own number counts, else its client's; a client is a company too, under its negative id."""
    desk = clients()
    put_department(desk, 7, "Inherits", workspace=7)
    put_department(desk, 8, "Has its own", workspace=7, account_number="88")
    put_department(desk, 9, "Repeats it", workspace=7, account_number="77")
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "companies")
        assert numbers(shelf) == {"7": "77", "8": "88", "9": "77", "-2": None, "-3": None, "-7": "77"}
        assert reasons(shelf) == []  # a department that shares its client's number is no second customer
        for key in ("7", "-7"):
            assert await source.fetch("companies", key) == shelf.records[Kind.COMPANY, key]
        assert await source.fetch("companies", "-9") is None
        assert source.link(Kind.COMPANY, "-7") is None
        desk.workspaces.change(7, metadata={"custom_fields": {"account_number": 78}})
        desk.clock.advance(A_DAY)
        assert await shelf.read(source, "companies") == 2
    assert numbers(shelf)["7"] == "78"


async def test_two_companies_with_one_account_number_are_named() -> None:
    """Nothing makes the number unique: both are stored and named with it, until one of them has another."""
    desk = empty_service()
    put_department(desk, 1, "Alpha", account_number=104233)
    put_department(desk, 2, "Beta", account_number=" 104233")
    put_department(desk, 3, "Gamma", account_number=5)
    shelf = Shelf()
    async with reading_service(desk) as source:
        assert await shelf.read(source, "companies") == 3
        assert reasons(shelf) == [
            "2 companies have the account number 104233: Alpha (1), Beta (2). Give each its own at the helpdesk; until "
            "then their tickets count as those of one customer."
        ]
        desk.departments.change(2, custom_fields={"account_number": 104234})
        desk.clock.advance(A_DAY)
        shelf.failures.clear()
        assert await shelf.read(source, "companies") == 1
    assert reasons(shelf) == []


async def test_many_shared_account_numbers_make_one_warning_of_bearable_length() -> None:
    """Ten numbers are named, the others counted."""
    desk = empty_service()
    for key in range(1, 27):
        put_department(desk, key, f"D{key}", account_number=100 + key // 2)
    (said,) = reasons(await read_all(desk, "companies"))
    assert said.count("companies have the account number") == 10
    assert said.endswith(" 2 more account numbers are held by several companies.")


def missing(field: str, there: str) -> str:
    return (
        f'No department of Freshservice "127.0.0.1" has a field "{field}", so companies get no account number. '
        f"{there}. Set FRESHSERVICE_ACCOUNT_FIELD, or account_field in deskloom.toml, to the right one; to nothing if "
        "there is none."
    )


@pytest.mark.parametrize("closed", [False, True])
async def test_an_account_field_that_does_not_exist_names_those_that_do(closed: bool) -> None:
    """The sentence comes from the check and once from a read, which goes on; also where the field list is closed."""
    desk = empty_service()
    put_department(desk, 1, "Alpha", account_number=5, site="Porto")
    names = [("name", True), ("domain_names", True), ("account_number", False), ("site", False)]
    desk.department_fields = [{"id": i, "name": name, "is_default_field": own} for i, (name, own) in enumerate(names)]
    if closed:
        desk.faults.add(Fault(match="department_fields", kind="403", times=None))
    shelf = Shelf()
    async with reading_service(desk, account_field="account_no") as source:
        facts = await source.check()
        assert await shelf.read(source, "companies") == 1
    expected = missing("account_no", "It has: account_number, site")
    assert (facts["warnings"], reasons(shelf), numbers(shelf)) == ([expected], [expected], {"1": None})


async def test_a_field_that_no_department_has_filled_in_exists() -> None:
    """The field list knows it although the objects do not show it; an account without fields says so."""
    desk = empty_service()
    put_department(desk, 1, "Alpha")
    assert reasons(await read_all(desk, "companies", account_field="account_no")) == []
    desk.department_fields = [{"id": 1, "name": "name", "is_default_field": True}]
    expected = [missing("account_no", "It has no fields of its own")]
    assert reasons(await read_all(desk, "companies", account_field="account_no")) == expected
    assert reasons(await read_all(desk, "companies", account_field="")) == []
    desk.department_fields.append({"id": 2, "name": "account_no", "is_default_field": False})
    assert reasons(await read_all(desk, "companies", account_field="account_no")) == []


async def test_a_client_that_is_closed_to_the_key_proves_no_deletion() -> None:
    """T22: the others are read, what is not seen is told, and nothing is called gone for it."""
    desk = clients()
    put_department(desk, 1, "Open")
    put_department(desk, 2, "Closed", workspace=7)
    desk.faults.add(Fault(match="departments.*workspace_id=7", kind="403", times=None))
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "companies")
        with pytest.raises(AccessRefused):
            await listed(source, "companies")
    assert ("1" in shelf.alive(), "2" in shelf.alive(), shelf.listing) == (True, False, None)
    assert "does not let this key read /api/v2/departments (403, access_denied)" in reasons(shelf)[0]


@pytest.mark.parametrize(("code", "warned"), [("access_denied", True), ("require_feature", False)])
async def test_workspaces_that_are_closed_prove_no_deletion_unless_the_plan_has_none(code: str, warned: bool) -> None:
    """A role that may not see workspaces may hide clients; a plan without them has one workspace."""
    desk = empty_service()
    put_department(desk, 1, "Alpha", account_number=1)
    put_requester(desk, 100, "Ada")
    desk.faults.add(Fault(match="/workspaces", kind="403", times=None, code=code))
    for stream in ("companies", "contacts", "codes"):
        shelf = await read_all(desk, stream)
        assert (len(shelf.failures) == 1) is warned
        assert shelf.listing is None or not warned


async def test_odd_wrappers_and_ids_in_text_are_read() -> None:
    """T46: an MSP's samples show one department under `departments`, and ids as text."""
    department = {"id": "3", "name": "Works", "workspace_id": "2", "custom_fields": {"account_number": "7"}, **MADE}
    script = in_turn(
        Reply(body={"workspaces": []}),
        Reply(body={"departments": department}),
        Reply(body={"department": [department]}),
    )
    async with serve(script) as serving:
        source = open_service(empty_service(), serving.url, timing=FakeTime().timing())
        company = await source.fetch("companies", "3")
        shelf = Shelf()
        await shelf.read(source, "companies")
        await source.aclose()
    assert isinstance(company, Company)
    assert (company.external_id, company.workspace_id, company.account_number) == (3, 2, "7")
    assert shelf.records == {(Kind.COMPANY, "3"): company}


# --------------------------------------------------------------------------------------------------------- requesters


async def test_a_requester_is_a_contact() -> None:
    """Names stand apart and the last one is often null; e-mail lists are null or empty (rule 15)."""
    desk = empty_service()
    put_requester(desk, 100, "Ada", last_name="Example", department_ids=[5], secondary_emails=["ada@home.example"])
    desk.requesters.change(
        100, work_phone_number="+351 1", mobile_phone_number="9", job_title="Engineer", language="pt"
    )
    put_requester(desk, 101, "Bob", secondary_emails=None, primary_email=None)
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "contacts")
        assert await source.fetch("contacts", "100") == contact_of(shelf, 100)
        assert await source.fetch("contacts", "999") is None
        assert source.link(Kind.CONTACT, "100") == f"{source._client.address.url}/itil/requesters/100"
    ada, bob = contact_of(shelf, 100), contact_of(shelf, 101)
    assert (ada.name, ada.email, ada.other_emails, ada.phone, ada.mobile, ada.job_title, ada.language) == (
        "Ada Example", "p100@example.com", ("ada@home.example",), "+351 1", "9", "Engineer", "pt",
    )  # fmt: skip
    assert (bob.name, bob.email, bob.other_emails) == ("Bob", None, ())


@pytest.mark.parametrize(
    ("departments", "company", "others"), [([5], 5, ()), ([5, 6], None, (5, 6)), ([], None, ()), (None, None, ())]
)
async def test_a_requester_belongs_to_a_company_if_it_has_one_department(
    departments: list[int] | None, company: int | None, others: tuple[int, ...]
) -> None:
    """5.1: with several departments it is not known which one a ticket is for, so none is chosen."""
    desk = empty_service()
    put_requester(desk, 100, "Ada", department_ids=departments or [])
    ada = contact_of(await read_all(desk, "contacts"), 100)
    assert (ada.company_id, ada.other_company_ids) == (company, others)


async def test_t23_a_deactivated_requester_is_a_deleted_contact() -> None:
    """Deleting deactivates: the contact keeps its name and is gone; a forgotten one is missing from the listing."""
    desk = empty_service()
    for key in (100, 101, 102):
        put_requester(desk, key, f"P{key}")
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "contacts")
        desk.perform({"method": "DELETE", "path": "requesters/101"})
        desk.perform({"method": "DELETE", "path": "requesters/102/forget"})
        desk.clock.advance(A_DAY)
        await shelf.read(source, "contacts")
        found = await listed(source, "contacts")
        fetched = await source.fetch("contacts", "101")
    gone = contact_of(shelf, 101)
    assert (gone.name, gone.deleted, gone == fetched) == ("P101", True, True)
    assert shelf.listing == {"100", "101"}
    assert {key: one.gone for key, one in found.items()} == {"100": False, "101": True}


async def test_requesters_of_every_client_are_read_once() -> None:
    """Rule 13: each client's are asked for; one without a department belongs to its client."""
    desk = clients()
    put_department(desk, 5, "D5", workspace=7)
    put_requester(desk, 100, "Ada", workspace_id=2)
    put_requester(desk, 101, "Bob", workspace_id=7)
    put_requester(desk, 102, "Cy", workspace_id=7, department_ids=[5])
    shelf = await read_all(desk, "contacts")
    companies = {key: one.company_id for (_, key), one in shelf.records.items() if isinstance(one, Contact)}
    assert (companies, shelf.stored, shelf.listing) == (
        {"100": -2, "101": -7, "102": 5}, 3, frozenset({"100", "101", "102"}),
    )  # fmt: skip


async def test_a_requester_of_two_clients_comes_once_and_belongs_to_neither() -> None:
    """Whoever is listed by several clients is one contact."""
    two = [{"id": key, "name": f"C{key}", "type": "client", "primary": key == 2} for key in (2, 7)]
    ada = {"id": 100, "first_name": "Ada", "department_ids": [], "belongs_to_workspace_ids": [2, 7], **MADE}
    script = in_turn(
        Reply(body={"workspaces": two}), Reply(body={"requester": [ada]}), Reply(body={"requesters": [ada]})
    )
    async with serve(script) as serving:
        source = open_service(empty_service(), serving.url, timing=FakeTime().timing())
        shelf = Shelf()
        await shelf.read(source, "contacts", full=True)
        await source.aclose()
    contact = contact_of(shelf, 100)
    assert (shelf.stored, contact.company_id, contact.other_company_ids) == (1, None, (-2, -7))


async def test_requesters_are_walked_page_by_page_and_go_on_where_they_stopped() -> None:
    """A large account is never read again from the front: each cursor is a place in the list, and what is known is
    skipped a day later."""
    desk = empty_service()
    for key in range(1, 601):
        put_requester(desk, key + 100, f"P{key:04}")
    shelf = Shelf()
    async with reading_service(desk) as source:
        async for page in source.read("contacts", None, known=shelf.known):
            shelf.store(page)
            if len(shelf.records) >= 300:
                break
        desk.calls.reset()
        before = len(shelf.records)
        rest = await shelf.read(source, "contacts")
        assert (len(shelf.records), before + rest, shelf.listing) == (600, 600, None)
        assert desk.calls.endpoints == {"GET /requesters": 3}
        desk.clock.advance(A_DAY)
        desk.calls.reset()
        assert (await shelf.read(source, "contacts"), len(shelf.listing or ())) == (0, 600)
        assert desk.calls.endpoints == {"GET /requesters": 7, "GET /workspaces": 1}
        assert await shelf.read(source, "contacts") == 0
        assert desk.calls.total == 8
    assert len(str(shelf.pages[2].cursor)) < 8000


async def test_a_row_that_moves_while_the_list_is_walked_hides_nobody() -> None:
    """Somebody who is renamed to the front, or forgotten, moves the others by a place: none is stepped over."""
    desk = empty_service()
    for key in range(1, 301):
        put_requester(desk, key + 100, f"P{key:04}")

    def move() -> None:
        desk.perform({"method": "PUT", "path": "requesters/390", "body": {"first_name": "Aaron"}})
        desk.perform({"method": "DELETE", "path": "requesters/105/forget"})
        desk.perform({"method": "DELETE", "path": "requesters/106/forget"})

    desk.faults.before("/requesters", move, nth=2)
    shelf = await read_all(desk, "contacts")
    assert shelf.alive() >= {str(key + 100) for key in range(1, 301)} - {"390"}


async def test_t39_a_list_that_is_closed_to_the_key_is_a_warning() -> None:
    """Requesters, departments and agents that may not be read are told once; nothing is called gone."""
    desk = empty_service()
    desk.faults.add(Fault(match="/requesters|/departments|/agents", kind="403", times=None))
    for stream in ("contacts", "companies", "agents"):
        shelf = await read_all(desk, stream)
        assert (len(reasons(shelf)), shelf.records, shelf.listing) == (1, {}, None)


# ------------------------------------------------------------------------------------------------------------- agents


async def test_agents_have_their_names_beside_them() -> None:
    """Names are not nested as in Freshdesk; one who left is no longer active, and logging in is no change."""
    desk = empty_service()
    desk.agents.change(2, active=False, last_name=None)
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "agents")
        agents = {key: one for (_, key), one in shelf.records.items() if isinstance(one, Agent)}
        assert {key: (one.name, one.email, one.active) for key, one in agents.items()} == {
            "1": ("Agent 1", "agent1@example.com", True), "2": ("Agent", "agent2@example.com", False),
        }  # fmt: skip
        assert await source.fetch("agents", "1") == agents["1"]
        assert await source.fetch("agents", "9") is None
        assert source.link(Kind.AGENT, "1") is None
        desk.agents.change(1, last_login_at="2026-11-02T09:00:00Z", last_active_at="2026-11-02T09:00:00Z")
        desk.clock.advance(A_DAY)
        assert (await shelf.read(source, "agents"), shelf.listing) == (0, {"1", "2"})
        assert {key: one.stamp for key, one in (await listed(source, "agents")).items()} == {
            key: one.stamp for key, one in agents.items()
        }


async def test_t48_an_agent_is_no_requester() -> None:
    """Agents are left out of the requesters, which takes no rights; as agents they are known under the same id."""
    desk = empty_service()
    put_requester(desk, 100, "Ada")
    shelf = Shelf()
    async with reading_service(desk, key="sandbox-agent") as source:
        await shelf.read(source, "contacts")
        shelf.cursor = None
    async with reading_service(desk) as source:
        await shelf.read(source, "agents")
        assert await source.fetch("contacts", "1") is None
        assert await source.fetch("agents", "1") is not None
    kinds: dict[str, type[Record]] = {key: type(one) for (_, key), one in shelf.records.items()}
    assert kinds == {"100": Contact, "1": Agent, "2": Agent}


async def test_a_stream_without_a_list_says_so() -> None:
    """Code tables have no keys that could be missing."""
    async with reading_service(empty_service()) as source:
        with pytest.raises(NotFound, match="no list of all codes"):
            await listed(source, "codes")
