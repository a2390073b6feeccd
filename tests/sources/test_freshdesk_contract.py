"""Freshdesk keeps the contract of sources, with each setting of what the vendor leaves open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contracts.source import (
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
from tests.sources.freshdesk_rig import FreshdeskRig, rigged


class TestTickets(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[FreshdeskRig]:
        async with rigged("tickets") as rig:
            yield rig


class TestContacts(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[FreshdeskRig]:
        async with rigged("contacts") as rig:
            yield rig


class TestArticles(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[FreshdeskRig]:
        async with rigged("kb") as rig:
            yield rig


class TestHours(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[FreshdeskRig]:
        async with rigged("hours") as rig:
            yield rig


OPEN_CHECKS = [
    s1_everything, s1_changes, s1_listing_whole, s2_resumes_after_every_page, s2_slices, s3_listing_stamps, s6_deleted,
    s6_listing_follows,
]  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "switches"),
    [
        ("tickets", {"updated_since_inclusive": False}),
        ("tickets", {"delete_bumps": False, "deleted_view": 403, "link_space": False}),
        ("contacts", {"contacts_filter": "_updated_since", "updated_since_inclusive": False}),
        ("contacts", {"contacts_filter": "both"}),
        ("hours", {"executed_inclusive": False, "hours_window": True, "link_space": False}),
        ("kb", {"solutions_paged": False, "solutions_nested": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
@pytest.mark.parametrize("check", OPEN_CHECKS)
async def test_open_questions_make_no_difference(stream: str, switches: dict[str, object], check: object) -> None:
    """Whatever the answer to an open question is, nothing is missed and what is deleted is noticed."""
    async with rigged(stream, **switches) as rig:
        if check is s6_deleted and "delete_bumps" in switches:
            rig.pass_time = lambda: rig.desk.clock.advance(90_000)  # type: ignore[method-assign,assignment]
        await check(rig)  # type: ignore[operator]
