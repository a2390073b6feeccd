"""Promise 4: deletion is proven, and never more than the set share in one run."""

from __future__ import annotations

import pytest
from tests.rig import Install

from deskloom.errors import DeletionHeld
from deskloom.model import Kind, Tombstone
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.generate import generate
from deskloom.sync.sweep import absent


def test_what_a_complete_listing_lacks_is_tombstoned() -> None:
    """Known keys beyond the listing become tombstones that say where they were missed."""
    gone = absent(Kind.ARTICLE, known=["1:en", "2:en"], listing=frozenset({"1:en"}), max_share=0.5, where="acme")
    assert gone == [Tombstone(kind=Kind.ARTICLE, key="2:en", reason="no longer listed by acme")]


def test_more_than_the_set_share_is_held() -> None:
    """Half of the articles missing at once looks like a fault, not like work: nothing is removed."""
    with pytest.raises(DeletionHeld, match="Not removing 2 of 4 articles"):
        absent(Kind.ARTICLE, known=["1", "2", "3", "4"], listing=frozenset({"1", "2"}), max_share=0.2, where="acme")


async def test_a_run_holds_a_mass_deletion_and_says_so(install: Install) -> None:
    """The run ends as partial, names what it did not do, and keeps every article until a person allows it."""
    desk = generate(seed=1, tickets=1, articles=10)
    async with install(desk, max_delete_share=0.2) as made:
        await made.sync("kb")
        kept = made.article_titles()
        for row in list(desk.articles)[:6]:
            desk.articles.drop(row["id"])
        run = await made.sync("kb")
        assert run.state == "partial"
        assert "Not removing" in run.errors[0]
        assert len(await made._articles_against_source()) == len(kept.keys() - made.article_titles().keys())


async def test_a_listing_that_failed_anywhere_proves_nothing(install: Install) -> None:
    """One folder that cannot be listed: no article is taken for deleted."""
    desk = generate(seed=1, tickets=1, articles=10)
    async with install(desk, retries=0) as made:
        await made.sync("kb")
        folder = next(iter(desk.articles))["folder_id"]
        desk.faults.add(Fault(match=f"folders/{folder}/articles", kind="500", times=None))
        run = await made.sync("kb")
        assert run.state in ("partial", "failed")
        desk.faults.clear()
        assert run.counts["deleted"] == 0
        assert await made._articles_against_source() == []
