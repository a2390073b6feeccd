"""Freshservice's tickets and hours keep the contract of sources, with each setting of what the vendor leaves open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.contracts.source import (
    NOTICED,
    SABOTEURS,
    Saboteur,
    SourceContract,
    s1_changes,
    s1_everything,
    s1_listing_whole,
    s2_resumes_after_every_page,
    s2_slices,
    s3_listing_stamps,
    s6_deleted,
    s6_listing_follows,
)
from tests.sources.service_tickets import TicketRig, ticketed

Check = Callable[[Any], Awaitable[None]]


class TestTickets(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[TicketRig]:
        async with ticketed(spaces=2, live=58) as rig:
            yield rig


class TestHours(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[TicketRig]:
        async with ticketed("hours", spaces=3) as rig:
            yield rig


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda one: one.__name__)
async def test_the_saboteur_is_noticed(saboteur: type[Saboteur]) -> None:
    """The check of the guarantee that the saboteur breaks fails on it, over this source too."""
    async with ticketed(saboteur.stream, live=58) as rig:
        rig.source = saboteur(rig)
        with pytest.raises(NOTICED):
            await SABOTEURS[saboteur](rig)


OPEN_CHECKS = [
    s1_everything, s1_changes, s1_listing_whole, s2_slices, s3_listing_stamps, s6_deleted, s6_listing_follows,
]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"order_by": "ignored", "updated_since_inclusive": False, "list_tags": True},
        {"order_by": "honoured", "updated_since_inclusive": False, "spaces": 2},
        {"sort_column": "updated_at", "order_by": "refused"},
        {"sort_column": "id", "order_by": "ignored", "link_space": False, "spaces": 2},
        {"delete_bumps": False, "deleted_view": 403, "step": 90_000},
        {"deleted_view": 404, "rate_total": "account", "msp": True, "spaces": 3},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
@pytest.mark.parametrize("check", OPEN_CHECKS)
async def test_open_questions_make_no_difference(options: dict[str, Any], check: Check) -> None:
    """Whatever the answer to an open question is, nothing is missed and what is deleted is noticed."""
    async with ticketed(**options) as rig:
        await check(rig)


@pytest.mark.slow
@pytest.mark.parametrize("order_by", ["ignored", "honoured"])
async def test_a_read_resumes_whatever_the_order(order_by: str) -> None:
    """Every cursor alone finds all that follows it, where the window moves on and where it stays."""
    async with ticketed(order_by=order_by, live=58) as rig:
        await s2_resumes_after_every_page(rig)
