"""What the Freshdesk source does beside the traps: people, codes, single objects, checks, limits, cursors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.http.fault_server import FakeTime, Reply, in_turn, serve
from tests.sources.desk import Shelf, empty_desk, open_source, put_message, put_ticket, reading, stamp

from deskloom.errors import CredentialsRefused, InvalidRequest, SettingInvalid, WrongProduct
from deskloom.http import normalise
from deskloom.model import Agent, Codes, Company, Contact, Kind, Ticket, TicketState, Tombstone
from deskloom.sandbox import Desk, Fault, Switches
from deskloom.sandbox.freshdesk.edits import perform
from deskloom.settings import Settings, SourceSettings
from deskloom.sources import KINDS
from deskloom.sources import open_source as open_configured
from deskloom.sources.freshdesk import FreshdeskSource
from deskloom.sources.freshdesk.mapping import choice_labels
from deskloom.sources.freshworks.values import account_number, instant, integer, text

# ------------------------------------------------------------------------------------------------------ single values


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-02T09:00:00Z", datetime(2026, 11, 2, 9, tzinfo=UTC)),
        ("2026-11-02T09:00:00+05:30", datetime(2026, 11, 2, 3, 30, tzinfo=UTC)),
        ("2026-11-02T09:00:00-0330", datetime(2026, 11, 2, 12, 30, tzinfo=UTC)),
        ("2026-11-02T09:00:00.983Z", datetime(2026, 11, 2, 9, 0, 0, 983000, tzinfo=UTC)),
        ("2026-11-02 09:31:52", datetime(2026, 11, 2, 9, 31, 52, tzinfo=UTC)),
        ("2026-11-02", datetime(2026, 11, 2, tzinfo=UTC)),
        ("0001-01-01T00:00:00+05:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        (17, None),
    ],
)
def test_a_time_is_read_with_any_offset_or_not_at_all(written: object, meant: datetime | None) -> None:
    """Times become aware UTC; what cannot be read is missing, never invented."""
    assert instant(written) == meant


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"account_number": "104233"}, "104233"),
        ({"account_number": " 104233 "}, "104233"),
        ({"cf_account_number": 104233}, "104233"),
        ({"account_number": 104233.0}, "104233"),
        ({"account_number": "0042"}, "0042"),
        ({"account_number": 0, "cf_account_number": None}, None),
        ({"account_number": ""}, None),
        ({"account_number": "0"}, None),
        ({"account_number": True}, None),
        ({}, None),
    ],
)
def test_an_account_number_is_text_or_missing(fields: dict[str, Any], found: str | None) -> None:
    """Numbers become text, blanks and zero are missing, and the prefix of the key does not matter (5.1)."""
    assert account_number(fields, "account_number") == found
    assert account_number(fields, "cf_account_number") == found


@pytest.mark.parametrize(
    ("choices", "labels"),
    [
        ({"Email": 1, "Shop": 1001}, {1: "Email", 1001: "Shop"}),
        ({"2": ["Open", "Being Processed"], "6": ["Waiting", "…"]}, {2: "Open", 6: "Waiting"}),
        ({"2": "Open"}, {2: "Open"}),
        (["Question", "Incident"], {}),
        ({"Europe": {"Portugal": ["Porto"]}}, {}),
        (None, {}),
    ],
)
def test_choices_are_read_in_every_shape(choices: object, labels: dict[int, str]) -> None:
    """Code tables come as label → code or code → [label, …]; the other shapes hold no codes (2.11)."""
    assert choice_labels(choices) == labels


def test_numbers_and_texts_are_taken_as_they_are() -> None:
    """A truth value is no number, a number may stand for text, nothing is rounded."""
    assert [integer(value) for value in (7, "7", " -7 ", True, 7.5, "x", None, 2**63)] == [
        7, 7, -7, None, None, None, None, 2**63,
    ]  # fmt: skip
    assert [text(value) for value in ("a", 1234, True, None, [])] == ["a", "1234", None, None, None]


# ------------------------------------------------------------------------------------------------------------- people


def put_company(desk: Desk, key: int, at: float, **members: Any) -> None:
    row = {
        "id": key,
        "name": f"Company {key}",
        "domains": ["c.example"],
        "created_at": stamp(0),
        "updated_at": stamp(at),
    }
    desk.companies.put(row | {"updated_at": stamp(at), "custom_fields": {"account_number": key}} | members)


@pytest.mark.parametrize("prefix", ["", "cf_"])
async def test_companies_carry_their_account_number(prefix: str) -> None:
    """The configured field is found with and without its prefix; only changed companies come again."""
    desk = empty_desk(switches=Switches(company_field_prefix=prefix))
    for key in (3001, 3002):
        put_company(desk, key, key)
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "companies")
        company = shelf.records[Kind.COMPANY, "3001"]
        assert isinstance(company, Company)
        assert (company.account_number, company.domains) == ("3001", ("c.example",))
        perform(desk, {"method": "PUT", "path": "companies/3002", "body": {"note": "x"}})
        assert await shelf.read(source, "companies") == 1
        assert await source.fetch("companies", "3001") == company
        assert await source.fetch("companies", "3003") is None


@pytest.mark.parametrize("others", ["ids", "objects"])
@pytest.mark.parametrize("spelling", ["updated_since", "_updated_since", "both"])
async def test_contacts_are_read_with_either_spelling(spelling: str, others: str) -> None:
    """Which update filter the account takes is found out once; both shapes of further companies are read."""
    desk = empty_desk(switches=Switches(contacts_filter=spelling, other_companies=others))  # type: ignore[arg-type]
    for key in (1001, 1002):
        row = {"id": key, "name": f"P{key}", "email": None, "created_at": stamp(0), "updated_at": stamp(key)}
        desk.contacts.put(row | {"other_companies": [{"company_id": 3002, "view_all_tickets": True}]})
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "contacts")
        contact = shelf.records[Kind.CONTACT, "1001"]
        assert isinstance(contact, Contact)
        assert (contact.other_company_ids, contact.email) == ((3002,), None)
        perform(desk, {"method": "PUT", "path": "contacts/1002", "body": {"name": "New"}})
        assert await shelf.read(source, "contacts") == 1
        desk.calls.reset()
        assert await shelf.read(source, "contacts") == 0
    assert desk.calls.endpoints == {"GET /contacts": 3}
    assert desk.calls.statuses == {"200": 3}


async def test_a_filter_that_is_ignored_is_noticed() -> None:
    """An account that takes the first spelling and does not filter by it is asked with the second one."""
    old = {"id": 1, "name": "Old", "updated_at": stamp(0)}
    new = {"id": 2, "name": "New", "updated_at": stamp(9000)}
    date = {"Date": "Mon, 02 Nov 2026 09:00:00 GMT"}

    def script(request: Any) -> Reply:
        filtered = "_updated_since=2026" in request.target
        if "state=deleted" in request.target:
            return Reply(body=[], headers=date)
        return Reply(body=[new] if filtered else [old, new], headers=date)

    async with serve(script) as serving:
        source = open_source(empty_desk(), serving.url, timing=FakeTime().timing())
        shelf = Shelf(cursor={"mark": stamp(9000)})
        await shelf.read(source, "contacts")
        await source.aclose()
    assert shelf.alive() == {"2"}
    assert shelf.cursor == {"mark": stamp(9000), "filter": "_updated_since"}


async def test_reference_data_is_read_whole_once_a_day() -> None:
    """Agents and codes have no update filter: they are listed daily, and only changed ones are yielded."""
    desk = empty_desk()
    shelf = Shelf()
    async with reading(desk) as source:
        for stream in ("agents", "codes"):
            shelf.cursor = None
            assert await shelf.read(source, stream) == {"agents": 2, "codes": 3}[stream]
            desk.calls.reset()
            assert await shelf.read(source, stream) == 0
            assert desk.calls.total == 0
            desk.clock.advance(86_400)
            desk.ticket_fields[4]["choices"] = desk.ticket_fields[4]["choices"] | {"9": [f"On hold {stream}", "…"]}
            assert await shelf.read(source, stream) == {"agents": 0, "codes": 1}[stream]
            assert desk.calls.total == 1
    codes = shelf.records[Kind.CODES, "status"]
    assert isinstance(codes, Codes)
    assert (codes.labels[2], codes.labels[8], codes.labels[9]) == ("Open", "Scheduled Visit", "On hold codes")
    agent = shelf.records[Kind.AGENT, "1"]
    assert isinstance(agent, Agent)
    assert (agent.name, agent.email, agent.active) == ("Agent 1", "agent1@example.com", True)


async def test_reference_data_that_is_closed_to_the_key_is_a_warning() -> None:
    """A key without admin rights reads tickets; agents are a warning, codes fall back to the fixed ones."""
    desk = empty_desk()
    desk.faults.add(Fault(match="/ticket_fields|/contacts", kind="403", times=None))
    put_ticket(desk, 1, 1)
    shelf = Shelf()
    async with reading(desk, key="sandbox-agent") as source:
        for stream in ("codes", "agents", "contacts", "tickets"):
            shelf.cursor = None
            await shelf.read(source, stream)
    assert [(one.kind, one.key, one.retry) for one in shelf.failures] == [
        (Kind.CODES, "*", False),
        (Kind.AGENT, "*", False),
        (Kind.CONTACT, "*", False),
    ]
    status = shelf.records[Kind.CODES, "status"]
    assert isinstance(status, Codes)
    assert status.labels == {2: "Open", 3: "Pending", 4: "Resolved", 5: "Closed"}
    assert set(shelf.tickets()) == {1}


# ------------------------------------------------------------------------------------------------ tickets and cursors


async def test_a_limit_does_not_starve_the_deleted() -> None:
    """When a limit stops the normal pass, the next read begins with the others."""
    desk = empty_desk()
    for key in range(1, 10):
        put_ticket(desk, key, key)
    put_ticket(desk, 20, 1, deleted=True)
    put_ticket(desk, 30, 1, spam=True)
    shelf = Shelf()
    seen = []
    async with reading(desk) as source:
        for _ in range(4):
            await shelf.read(source, "tickets", limit=4)
            seen.append([record.key for record in shelf.pages[-1].records])
    assert seen[0] == ["1", "2", "3", "4"]
    assert set(shelf.tickets()) == {*range(1, 10), 20, 30}
    assert shelf.tickets()[20].state is TicketState.DELETED
    assert shelf.stored == 11


async def test_a_ticket_that_may_still_be_changing_is_read_once_more() -> None:
    """A second change within the second of the read is not lost, although the stamp is the same."""
    desk = empty_desk()
    put_ticket(desk, 1, desk.clock.stamp())
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "tickets")
        put_message(desk, 5, 1)  # the same second: `updated_at` stays
        desk.clock.advance(60)
        assert await shelf.read(source, "tickets") == 1
        assert len(shelf.tickets()[1].messages or ()) == 1
        assert await shelf.read(source, "tickets") == 0


async def test_a_read_can_begin_at_a_time() -> None:
    """`cursor_since` yields what changed at or after the time, and the next read goes on from there."""
    desk = empty_desk()
    for key in (100, 200, 300):
        put_ticket(desk, key, key * 100)
        put_company(desk, key, key * 100)
    put_ticket(desk, 400, 100, deleted=True)
    when = instant(stamp(20_000))
    assert when is not None
    async with reading(desk) as source:
        for stream in ("tickets", "companies"):
            shelf = Shelf(cursor=source.cursor_since(stream, when))
            await shelf.read(source, stream)
            assert shelf.alive() == {"200", "300"}
            # Afterwards the deleted list is read whole, as it is once a day.
            assert await shelf.read(source, stream) == {"tickets": 1, "companies": 0}[stream]
        with pytest.raises(InvalidRequest, match='Freshdesk has no stream "invoices"'):
            source.cursor_since("invoices", when)


async def test_single_objects_are_fetched_whole() -> None:
    """A ticket by id equals the listed one; deleted is a state, hard-deleted is None, a wrong id is refused."""
    desk = empty_desk()
    put_ticket(desk, 1, 1, requester_id=2, tags=["vpn"])
    put_message(desk, 5, 1)
    put_ticket(desk, 2, 2, deleted=True)
    desk.contacts.put({"id": 1001, "name": "Gone", "deleted": True, "created_at": stamp(0), "updated_at": stamp(0)})
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "tickets")
        fetched = await source.fetch("tickets", "1")
        assert isinstance(fetched, Ticket)
        listed = shelf.tickets()[1]
        names = [name for name in listed.__dataclass_fields__ if name != "raw"]
        assert {name: getattr(fetched, name) for name in names} == {name: getattr(listed, name) for name in names}
        deleted = await source.fetch("tickets", "2")
        assert isinstance(deleted, Ticket)
        assert (deleted.state, deleted.messages) == (TicketState.DELETED, None)
        assert await source.fetch("tickets", "99") is None
        assert isinstance(await source.fetch("contacts", "1001"), Tombstone)
        assert isinstance(await source.fetch("agents", "2"), Agent)
        assert isinstance(await source.fetch("codes", "status"), Codes)
        with pytest.raises(InvalidRequest, match=r'"\.\./agents" is not an id of tickets'):
            await source.fetch("tickets", "../agents")
        assert source.link(Kind.TICKET, "1") == f"{normalise(source_url(source)).url}/a/tickets/1"
        assert source.link(Kind.ARTICLE, "701:de") == f"{source_url(source)}/a/solutions/articles/701"


def source_url(source: FreshdeskSource) -> str:
    return source._client.address.url


# ------------------------------------------------------------------------------------------------------------- checks


async def test_check_tells_whose_key_it_is() -> None:
    """A good account answers with facts; a narrow ticket scope is a warning, since lists would be short in silence."""
    desk = empty_desk()
    desk.agents.change(1, ticket_scope=3)
    async with reading(desk) as source:
        assert await source.check() == {
            "account": "127.0.0.1",
            "agent": "Agent 1",
            "email": "agent1@example.com",
            "ticket_scope": "restricted",
            "warnings": [
                "The key's agent sees restricted tickets only: other tickets will be missing without an error. "
                "Use the key of an agent with global ticket scope."
            ],
        }
    async with reading(desk, key="wrong") as source:
        with pytest.raises(CredentialsRefused):
            await source.check()


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (Reply(404, b""), SettingInvalid, "There is no Freshdesk at 127.0.0.1"),
        (Reply(body={"agent": {"id": 1}}), WrongProduct, "answers /api/v2/agents/me as Freshservice does"),
        (Reply(body={"id": 1, "first_name": "Ada"}), WrongProduct, "does not answer as Freshdesk does"),
    ],
)
async def test_another_product_or_no_account_is_told(body: Reply, error: type[Exception], said: str) -> None:
    """A wrong domain and a Freshservice account each end with their own sentence."""
    async with serve(in_turn(body)) as serving:
        source = open_source(empty_desk(), serving.url, timing=FakeTime().timing())
        with pytest.raises(error, match=said):
            await source.check()
        await source.aclose()


async def test_a_wrapped_list_is_another_product() -> None:
    """A read notices Freshservice too, should nobody have checked."""
    async with serve(in_turn(Reply(body={"tickets": []}))) as serving:
        source = open_source(empty_desk(), serving.url, timing=FakeTime().timing())
        with pytest.raises(WrongProduct, match="answers /api/v2/tickets as Freshservice does"):
            await Shelf().read(source, "tickets")
        await source.aclose()


async def test_a_configured_account_is_opened_by_its_kind() -> None:
    """The table of kinds makes the source that the settings name."""
    one = SourceSettings(name="acme", kind="freshdesk", domain="ACME.freshdesk.com", api_key="k")  # type: ignore[arg-type]
    source = open_configured(one, Settings(_env_file=None))  # type: ignore[call-arg]
    assert (source.name, source.kind, source.account) == ("acme", "freshdesk", "acme.freshdesk.com")
    assert one.kind in KINDS
    await source.aclose()
