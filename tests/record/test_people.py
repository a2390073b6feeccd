"""Companies, contacts, agents and code tables in the record."""

from __future__ import annotations

import pytest
from tests.record.made import LATER, NOW

from deskloom.errors import NotFound
from deskloom.model import Agent, Codes, Company, Contact, Kind, Tombstone
from deskloom.record import Record, Stored, stamps, store
from deskloom.record.people import get_company, list_companies, load_codes, people
from deskloom.record.store import keys

COMPANY = Company(external_id=1, stamp="a", name="Orchard", account_number="0042", domains=("orchard.example",))
CONTACT = Contact(external_id=2, stamp="a", name="Nora", email="nora@orchard.example", company_id=1)
AGENT = Agent(external_id=3, stamp="a", name="Ivo", email="ivo@example.org")


async def put(record: Record, *items, now=NOW) -> dict[Kind, Stored]:
    async with record.transaction() as tx:
        return await store(tx, "desk", items, now=now)


async def test_store_and_stamps(record: Record) -> None:
    """People are created, then unchanged, then updated, touched or deleted; stamps and keys follow."""
    kinds = {Kind.COMPANY: "1", Kind.CONTACT: "2", Kind.AGENT: "3"}
    assert await put(record, COMPANY, CONTACT, AGENT) == {kind: Stored(created=(key,)) for kind, key in kinds.items()}
    assert await put(record, COMPANY, CONTACT, AGENT) == {kind: Stored(unchanged=(key,)) for kind, key in kinds.items()}
    graves = [Tombstone(kind=kind, key=key, reason="gone") for kind, key in kinds.items()]
    async with record.transaction() as tx:
        for kind, key in kinds.items():
            assert await stamps(tx, "desk", kind, [key, "9"]) == {key: "a"}
            assert await keys(tx, "desk", kind) == {key}
    assert await put(record, *graves) == {kind: Stored(deleted=(key,)) for kind, key in kinds.items()}
    async with record.transaction() as tx:
        for kind, key in kinds.items():
            assert await stamps(tx, "desk", kind, [key]) == {}
            assert await keys(tx, "desk", kind) == frozenset()
    assert await put(record, COMPANY, CONTACT, AGENT) == {kind: Stored(updated=(key,)) for kind, key in kinds.items()}
    moved = Contact(external_id=2, stamp="b", name="Nora", email="nora@orchard.example", company_id=1, updated_at=LATER)
    assert await put(record, moved) == {Kind.CONTACT: Stored(touched=("2",))}


async def test_deleted_contact_keeps_its_name(record: Record) -> None:
    """A contact the source marks deleted is no longer listed, but its tickets keep their requester."""
    await put(record, COMPANY, CONTACT)
    gone = Contact(external_id=2, stamp="b", name="Nora", email="nora@orchard.example", company_id=1, deleted=True)
    assert await put(record, gone) == {Kind.CONTACT: Stored(deleted=("2",))}
    async with record.reading() as tx:
        assert (await get_company(tx, "0042"))["contacts"] == []
        assert await people(tx, "desk", [2]) == {2: ("Nora", "nora@orchard.example")}


async def test_people_are_contacts_or_agents(record: Record) -> None:
    """A person is found among contacts and agents (T48)."""
    await put(record, CONTACT, AGENT)
    async with record.reading() as tx:
        assert await people(tx, "desk", [2, 3, 4, None]) == {
            2: ("Nora", "nora@orchard.example"),
            3: ("Ivo", "ivo@example.org"),
        }


async def test_companies(record: Record) -> None:
    """Companies are listed by name; one is found by its account number, which is text, with its contacts."""
    await put(record, COMPANY, CONTACT, Company(external_id=5, stamp="a", name="Acre"))
    async with record.reading() as tx:
        assert [row["name"] for row in await list_companies(tx)] == ["Acre", "Orchard"]
        assert await list_companies(tx, source="other") == []
        found = await get_company(tx, "0042")
        assert (found["name"], found["domains"], [contact["email"] for contact in found["contacts"]]) == (
            "Orchard",
            ["orchard.example"],
            ["nora@orchard.example"],
        )
        with pytest.raises(NotFound, match='No company has the account number "42"'):
            await get_company(tx, "42")


async def test_codes(record: Record) -> None:
    """A code table is stored as a whole; a changed label makes it updated, a moved stamp only touched."""
    status = Codes(field="status", labels={2: "Open", 3: "Pending"}, stamp="a")
    other = Codes(field="priority", labels={1: "Low"})
    assert await put(record, status, other) == {Kind.CODES: Stored(created=("priority", "status"))}
    assert await put(record, status, other) == {Kind.CODES: Stored(unchanged=("priority", "status"))}
    stamped = Codes(field="status", labels={2: "Open", 3: "Pending"}, stamp="b")
    assert await put(record, stamped) == {Kind.CODES: Stored(touched=("status",))}
    changed = Codes(field="status", labels={2: "Opened", 17: "On hold"}, stamp="b")
    assert await put(record, changed) == {Kind.CODES: Stored(updated=("status",))}
    async with record.reading() as tx:
        assert await load_codes(tx, "desk") == {"priority": {1: "Low"}, "status": {2: "Opened", 17: "On hold"}}
        assert await stamps(tx, "desk", Kind.CODES, ["status", "priority", "x"]) == {"status": "b"}


async def test_tombstone_for_codes(record: Record) -> None:
    """Code tables do not die."""
    assert await put(record, Tombstone(kind=Kind.CODES, key="status", reason="?")) == {Kind.CODES: Stored()}


async def test_huge_names(record: Record) -> None:
    """Names far beyond what an index entry may hold are stored."""
    huge = "name " * 2000
    await put(record, Company(external_id=1, stamp="a", name=huge, account_number=huge))
    await put(record, Contact(external_id=1, stamp="a", name=huge, email=huge))
    async with record.reading() as tx:
        assert (await get_company(tx, huge))["name"] == huge
