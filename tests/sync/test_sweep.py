"""Promise 4: deletion is proven, and never more than the set share in one run without a person's word."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rig import Install, Rig

from deskloom.errors import DeletionHeld
from deskloom.model import Json, Kind, Tombstone
from deskloom.record import holds, tables
from deskloom.record.runs import Run
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.freshdesk.edits import perform
from deskloom.sandbox.freshdesk.switches import Switches
from deskloom.sandbox.generate import generate
from deskloom.sync.proof import in_turn
from deskloom.sync.sweep import absent


def do(desk: Desk, *steps: Json) -> None:
    """Edits at the help desk, and then ten minutes in which nothing happens."""
    with desk.lock:
        for step in steps:
            perform(desk, step)
        desk.clock.advance(600)


def delete(path: str) -> Json:
    return {"method": "DELETE", "path": path}


def live(desk: Desk) -> list[int]:
    return sorted(desk.tickets.ids("updated", "live"))


async def swept(made: Rig, stream: str = "tickets", **options: bool) -> Run:
    return await made.sync(stream, mode="sweep", options=options)


def told(run: Run) -> Json:
    assert run.report is not None
    return run.report


async def states(made: Rig) -> dict[int, str]:
    return {row["external_id"]: row["state"] for row in await made.rows(tables.tickets)}


async def held(made: Rig) -> list[tuple[str, str, list[str]]]:
    async with made.app.record.reading() as tx:
        return [(hold.source, hold.stream, sorted(hold.keys)) for hold in await holds.list_holds(tx)]


# ------------------------------------------------------------------------------------------------------- the guard


def test_what_a_complete_listing_lacks_is_tombstoned() -> None:
    """Known keys beyond the listing become tombstones that say where they were missed."""
    gone = absent(
        Kind.ARTICLE, known=["1:en", "2:en"], listing=frozenset({"1:en"}), max_share=0.5, where="acme", stream="kb"
    )
    assert gone == [Tombstone(kind=Kind.ARTICLE, key="2:en", reason="no longer listed by acme")]


def test_more_than_the_set_share_is_held() -> None:
    """Half of the articles missing at once looks like a fault, not like work: the sentence says what to do."""
    with pytest.raises(DeletionHeld, match=r"Not removing 2 of 4 articles .* deskloom sweep kb --source acme --allow"):
        absent(
            Kind.ARTICLE,
            known=["1", "2", "3", "4"],
            listing=frozenset({"1", "2"}),
            max_share=0.2,
            where="acme",
            stream="kb",
        )


# --------------------------------------------------------------------------------------------- every way of going


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"delete_bumps": False, "deleted_view": 403, "merge_bumps": False},
        {"delete_bumps": False, "deleted_view": 404, "archived_listed": True},
    ],
    ids=["documented", "closed", "listed"],
)
async def test_every_way_a_ticket_can_go(install: Install, switches: dict[str, Any]) -> None:
    """Deleted, spam and purged tickets are removed; archived and merged ones stay, and can be found."""
    desk = generate(seed=2, tickets=20, articles=0, contacts=12, switches=Switches(**switches))
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        deleted, spam, archived, merged, primary, purged = live(desk)[:6]
        merging = {"primary_id": primary, "ticket_ids": [merged]}
        do(
            desk,
            delete(f"tickets/{deleted}"),
            {"spam": spam},
            {"archive": archived},
            {"purge": purged},
            {"method": "PUT", "path": "tickets/merge", "body": merging},
        )
        run = await swept(made)
        assert (run.state, run.errors, told(run)["held"], told(run)["unsure"]) == ("succeeded", [], False, [])
        gone = {item["key"]: item["why"] for item in told(run)["gone"]}
        assert gone.keys() == {str(key) for key in (deleted, spam, purged)}
        assert gone[str(purged)] == "the source says that it does not exist"
        stands = await states(made)
        assert {key: stands[key] for key in (archived, merged, primary)} == {
            archived: "active" if switches.get("archived_listed") else "archived",
            merged: "active",
            primary: "active",
        }
        assert stands[purged] == "deleted"
        assert run.counts["deleted"] == 3
        if not switches:
            assert await made.differences() == []
        again = await swept(made)
        assert (told(again)["gone"], told(again)["changed"], again.counts["indexed"]) == ([], 0, 0)


async def test_erasing_a_contact_removes_it_and_its_tickets(install: Install) -> None:
    """A contact that is deleted for good takes its tickets along, the archived one too; nothing of them is found."""
    desk = generate(seed=2, tickets=20, articles=0, contacts=4)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        person = max(
            desk.contacts.ids("name", "live"), key=lambda key: sum(row["requester_id"] == key for row in desk.tickets)
        )
        theirs = [key for key in live(desk) if (desk.tickets.get(key) or {})["requester_id"] == person]
        assert len(theirs) > 1
        do(desk, {"archive": theirs[0]})
        await swept(made)
        do(desk, delete(f"contacts/{person}"), delete(f"contacts/{person}/hard_delete"))
        tickets, contacts = await swept(made), await swept(made, "contacts")
        assert {item["key"] for item in told(tickets)["gone"]} == {str(key) for key in theirs}
        assert [item["key"] for item in told(contacts)["gone"]] == [str(person)]
        assert await made.differences() == []


async def test_contacts_that_are_deleted_blocked_or_merged(install: Install) -> None:
    """A blocked contact stays; a deleted one and the second of two merged ones go."""
    desk = generate(seed=2, tickets=3, articles=0, contacts=12)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        first, second, third, fourth = desk.contacts.ids("name", "live")[:4]
        merging = {"primary_contact_id": first, "secondary_contact_ids": [second], "contact": {}}
        do(desk, {"method": "POST", "path": "contacts/merge", "body": merging}, delete(f"contacts/{third}"))
        desk.contacts.change(fourth, _blocked=True)
        run = await swept(made, "contacts")
        assert {item["key"] for item in told(run)["gone"]} == {str(second), str(third)}
        ours = {row["external_id"] for row in await made.rows(tables.contacts) if row["deleted_at"] is None}
        assert ours == {row["id"] for row in desk.contacts if not row.get("deleted")}


async def test_companies_and_agents_that_are_gone(install: Install) -> None:
    """A deleted company and an agent who left are tombstones; the others stay."""
    desk = generate(seed=2, tickets=3, articles=0)
    async with install(desk) as made:
        await made.sync()
        company, agent = next(iter(desk.companies))["id"], list(desk.agents)[-1]["id"]
        do(desk, delete(f"companies/{company}"))
        desk.agents.drop(agent)
        for stream, table, key in (("companies", tables.companies, company), ("agents", tables.agents, agent)):
            run = await swept(made, stream)
            assert told(run)["gone"] == [{"key": str(key), "why": "the source says that it does not exist"}]
            dead = [row["external_id"] for row in await made.rows(table) if row["deleted_at"] is not None]
            assert dead == [key]


async def test_articles_that_move_are_withdrawn_or_lose_a_language(install: Install) -> None:
    """A moved article stays, a withdrawn one is a draft for the team, a deleted one and a dropped translation go."""
    desk = generate(seed=3, tickets=1, articles=12)
    body = {"title": "Titel", "description": "<p>Text</p>", "status": 2}
    rows = [row for row in desk.articles if row["status"] == 2]
    moved, withdrawn, deleted, translated = (row["id"] for row in rows[:4])
    do(desk, {"method": "POST", "path": f"solutions/articles/{translated}/de", "body": body})
    folder = next(row["folder_id"] for row in rows if row["folder_id"] != rows[0]["folder_id"])
    async with install(desk) as made:
        await made.sync()
        await made.sync("kb")
        do(
            desk,
            {"method": "PUT", "path": f"solutions/articles/{moved}", "body": {"folder_id": folder}},
            {"method": "PUT", "path": f"solutions/articles/{withdrawn}", "body": {"status": 1}},
            delete(f"solutions/articles/{deleted}"),
            {"untranslate": translated, "language": "de"},
        )
        run = await swept(made, "kb")
        gone = {item["key"] for item in told(run)["gone"]}
        assert {f"{deleted}:en", f"{translated}:de"} <= gone
        assert all(key.startswith(str(deleted)) for key in gone - {f"{translated}:de"})
        assert await made.differences() == []


# --------------------------------------------------------------------------------------------- what proves nothing


async def test_a_listing_that_fails_on_its_last_page_deletes_nothing(install: Install) -> None:
    """Whichever request of the sweep fails, the run fails and nothing is removed; the next sweep does it."""
    desk = generate(seed=2, tickets=12, articles=0)
    async with install(desk, retries=0) as made:
        await made.sync()
        first, second = live(desk)[:2]
        do(desk, {"purge": first}, delete(f"tickets/{second}"))
        for match in ("/tickets\\?", "filter=deleted", "filter=spam"):
            desk.faults.add(Fault(match=match, kind="503", times=None))
            run = await swept(made)
            assert (run.state, run.counts["deleted"]) == ("failed", 0)
            desk.faults.clear()
        assert [
            key for key, state in (await states(made)).items() if key in (first, second) and state != "active"
        ] == []
        run = await swept(made)
        assert (run.state, run.counts["deleted"]) == ("succeeded", 2)


async def test_an_answer_that_cannot_be_read_proves_nothing(install: Install) -> None:
    """A ticket that is on no list and closed to us by its id stays, and is named as unsure."""
    desk = generate(seed=2, tickets=12, articles=0)
    async with install(desk, retries=0) as made:
        await made.sync()
        first, second = live(desk)[:2]
        do(desk, {"archive": first}, {"purge": second})
        desk.faults.add(Fault(match=f"tickets/{first}", kind="403", times=None))
        run = await swept(made)
        assert [item["key"] for item in told(run)["unsure"]] == [str(first)]
        stands = await states(made)
        assert (stands[first], stands[second]) == ("active", "deleted")


async def test_a_listing_that_failed_anywhere_proves_nothing(install: Install) -> None:
    """One folder that cannot be listed: no article is taken for deleted."""
    desk = generate(seed=1, tickets=1, articles=10)
    async with install(desk, retries=0) as made:
        await made.sync("kb")
        folder = next(iter(desk.articles))["folder_id"]
        desk.faults.add(Fault(match=f"folders/{folder}/articles", kind="500", times=None))
        for run in (await made.sync("kb"), await swept(made, "kb")):
            assert run.state in ("partial", "failed")
            assert run.counts["deleted"] == 0
        desk.faults.clear()
        assert await made._articles_against_source() == []


def test_archived_tickets_are_asked_for_in_turn() -> None:
    """Each sweep asks for the next ones by number, and begins anew when it came to the end."""
    keys, after, asked = ["10", "9", "100", "2", "11"], "", []
    for _ in range(4):
        asked.append(in_turn(keys, after, 2))
        after = asked[-1][-1]
    assert asked == [["2", "9"], ["10", "11"], ["100"], ["2", "9"]]


# ------------------------------------------------------------------------------------------ a person's word


async def test_a_run_holds_a_mass_deletion_and_says_so(install: Install) -> None:
    """The run ends as partial, names what it did not do, and keeps every article until a person allows it."""
    desk = generate(seed=1, tickets=1, articles=10)
    async with install(desk, max_delete_share=0.2) as made:
        await made.sync("kb")
        kept = made.article_titles()
        for row in list(desk.articles)[:6]:
            desk.articles.drop(row["id"])
        gone = sorted(f"{id}:{language}" for id, language in kept.keys() - made.article_titles().keys())
        run = await made.sync("kb")
        assert run.state == "partial"
        assert "Not removing" in run.errors[0]
        assert len(await made._articles_against_source()) == len(gone)
        assert await held(made) == [("freshdesk", "kb", gone)]
        allowed = await swept(made, "kb", allow=True)
        assert (allowed.state, allowed.counts["deleted"]) == ("succeeded", len(gone))
        assert (await made._articles_against_source(), await held(made)) == ([], [])


async def test_a_dry_run_writes_nothing(install: Install) -> None:
    """It says what would go, be held and differ; the record is the same to the last row, its own run apart."""
    desk = generate(seed=2, tickets=12, articles=0)
    async with install(desk, max_delete_share=0.2) as made:
        await made.sync()
        gone = live(desk)[:4]
        do(desk, *({"purge": key} for key in gone), {"archive": live(desk)[5]})
        untouched = [table for table in tables.metadata.sorted_tables if table.name != "runs"]
        before = {table.name: await made.rows(table) for table in untouched}
        run = await swept(made, dry_run=True)
        assert {table.name: await made.rows(table) for table in untouched} == before
        assert (run.state, run.errors) == ("succeeded", [])
        assert (told(run)["held"], told(run)["archived"]) == (True, 1)
        assert {item["key"] for item in told(run)["gone"]} == {str(key) for key in gone}
        allowed = await swept(made, allow=True)
        assert (allowed.state, allowed.counts["deleted"]) == ("succeeded", 4)


async def test_a_word_covers_what_was_shown_and_no_more(install: Install) -> None:
    """What vanished after the hold was shown is held anew, while what was shown goes."""
    desk = generate(seed=2, tickets=16, articles=0)
    async with install(desk, max_delete_share=0.2) as made:
        await made.sync()
        keys = live(desk)
        do(desk, *({"purge": key} for key in keys[:4]))
        first = await swept(made)
        assert (first.state, first.counts["deleted"]) == ("partial", 0)
        assert "deskloom sweep tickets --source freshdesk --allow" in first.errors[0]
        assert await held(made) == [("freshdesk", "tickets", sorted(map(str, keys[:4])))]
        do(desk, *({"purge": key} for key in keys[4:9]))
        allowed = await swept(made, allow=True)
        assert (allowed.state, allowed.counts["deleted"]) == ("partial", 4)
        assert await held(made) == [("freshdesk", "tickets", sorted(map(str, keys[4:9])))]
        assert {key for key, state in (await states(made)).items() if state == "deleted"} >= set(keys[:4])
        plain = await swept(made)
        assert (plain.state, plain.counts["deleted"]) == ("partial", 0)


async def test_a_hold_goes_when_the_copies_agree_again(install: Install) -> None:
    """Tickets that come back (a scope that was too narrow for a while) take their hold with them."""
    desk = generate(seed=2, tickets=12, articles=0)
    async with install(desk, max_delete_share=0.2) as made:
        await made.sync()
        rows = [dict(desk.tickets.get(key) or {}) for key in live(desk)[:5]]
        for row in rows:
            desk.tickets.drop(row["id"])
        assert (await swept(made)).state == "partial"
        assert len(await held(made)) == 1
        for row in rows:
            desk.tickets.put(row)
        assert (await swept(made)).state == "succeeded"
        assert await held(made) == []


async def test_many_archived_at_once_are_no_deletion(install: Install) -> None:
    """Half of the tickets leave the list for the archive: asked by id they are all there, so nothing is held."""
    desk = generate(seed=2, tickets=16, articles=0)
    async with install(desk, max_delete_share=0.2) as made:
        await made.sync()
        archived = live(desk)[:8]
        do(desk, *({"archive": key} for key in archived))
        run = await swept(made)
        assert (run.state, told(run)["archived"], told(run)["gone"]) == ("succeeded", 8, [])
        assert {key for key, state in (await states(made)).items() if state == "archived"} == set(archived)
        assert await made.differences() == []


# ------------------------------------------------------------------------------------------------- what comes back


async def test_a_restored_ticket_whose_stamp_did_not_move_is_found(install: Install) -> None:
    """No incremental read can meet it; a sweep reads it again, and search finds it."""
    desk = generate(seed=2, tickets=12, articles=0, switches=Switches(delete_bumps=False, restore_bumps=False))
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        key = live(desk)[0]
        do(desk, delete(f"tickets/{key}"))
        await swept(made)
        assert (await states(made))[key] == "deleted"
        do(desk, {"method": "PUT", "path": f"tickets/{key}/restore"})
        await made.sync()
        assert (await states(made))[key] == "deleted"
        run = await swept(made)
        assert (told(run)["restored"], told(run)["read"]) == (1, 1)
        assert await made.differences() == []


async def test_what_the_record_lost_or_missed_is_read_again(install: Install) -> None:
    """A row that is not in the record, and one with an older mark, are fetched, stored and published."""
    desk = generate(seed=2, tickets=12, articles=0)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        lost, stale = live(desk)[:2]
        async with made.app.record.transaction() as tx:
            await tx.execute(tables.tickets.delete().where(tables.tickets.c.external_id == lost))
            await tx.execute(
                tables.tickets.update().where(tables.tickets.c.external_id == stale).values(stamp="old", subject="Old")
            )
        run = await swept(made)
        assert (told(run)["new"], told(run)["changed"], told(run)["read"]) == (1, 1, 2)
        assert await made._record_against_source() == []


async def test_what_a_sweep_costs(install: Install) -> None:
    """A call for a page, one for each list that is empty, and two for a ticket that is gone; nothing else."""
    desk = generate(seed=2, tickets=130, articles=0, contacts=5)
    async with install(desk) as made:
        await made.sync()
        pages = -(-(len(live(desk)) - 1) // 99)
        quiet = await swept(made)
        assert quiet.counts["api_calls"] == pages + 2
        do(desk, {"purge": live(desk)[0]})
        assert (await swept(made)).counts["api_calls"] == pages + 2 + 2
