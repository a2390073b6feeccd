"""Freshservice's lists keep the contract of sources, with each setting of what the vendor leaves open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contracts.source import (
    NOTICED,
    SABOTEURS,
    EmptiesWhatItCannotRead,
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
from tests.sources.freshservice_rig import FreshserviceRig, serviced


class TestDepartments(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[FreshserviceRig]:
        async with serviced("companies", msp=True) as rig:
            yield rig


class TestRequesters(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[FreshserviceRig]:
        async with serviced("contacts", msp=True) as rig:
            yield rig


class TestArticles(SourceContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[FreshserviceRig]:
        async with serviced("kb") as rig:
            yield rig


OPEN_CHECKS = [
    s1_everything, s1_changes, s1_listing_whole, s2_resumes_after_every_page, s2_slices, s3_listing_stamps, s6_deleted,
    s6_listing_follows,
]  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "options"),
    [
        ("companies", {"people_per_page": 10}),
        ("contacts", {"people_per_page": 10, "deactivated_listed": False, "link_space": False}),
        ("kb", {"solutions_paged": False, "folders_nested": True}),
        ("kb", {"article_language": "view", "author_member": "user_id", "msp": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
@pytest.mark.parametrize("check", OPEN_CHECKS)
async def test_open_questions_make_no_difference(stream: str, options: dict[str, object], check: object) -> None:
    """Whatever the answer to an open question is, nothing is missed and what is deleted is noticed."""
    async with serviced(stream, **options) as rig:
        await check(rig)  # type: ignore[operator]


@pytest.mark.parametrize("saboteur", [one for one in SABOTEURS if one is not EmptiesWhatItCannotRead])
async def test_the_saboteur_is_noticed(saboteur: type[Saboteur]) -> None:
    """The check of the guarantee that the saboteur breaks fails on it, on a list that is read page by page too."""
    async with serviced("contacts") as rig:
        rig.source = saboteur(rig)
        with pytest.raises(NOTICED):
            await SABOTEURS[saboteur](rig)
