"""Every check of the source contract can fail: a source that breaks the guarantee is noticed."""

from __future__ import annotations

import pytest
from tests.contracts.source import CHECKS, NOTICED, SABOTEURS, Saboteur
from tests.sources.freshdesk_rig import rigged


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda one: one.__name__)
async def test_the_saboteur_is_noticed(saboteur: type[Saboteur]) -> None:
    """The check of the guarantee that the saboteur breaks fails on it."""
    async with rigged(saboteur.stream) as rig:
        rig.source = saboteur(rig)
        with pytest.raises(NOTICED):
            await SABOTEURS[saboteur](rig)


def test_every_check_has_its_saboteur() -> None:
    """No check stands without proof that it bites; `s3_nothing_new` is `s1_changes` with no change."""
    assert {check.__name__ for check in CHECKS} - {check.__name__ for check in SABOTEURS.values()} == {"s3_nothing_new"}
