"""The tests' own PostgreSQL: found on a fresh machine too, where only the wheel has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import postgres

from deskloom.record import open_record, require_current, upgrade


@pytest.mark.parametrize("folder", postgres.bundled(), ids=lambda folder: folder.parent.name)
async def test_bundled_server(folder: Path) -> None:
    """Each PostgreSQL inside the wheel starts, whoever runs the tests, and takes the record."""
    with postgres.running([folder]) as server:
        record = open_record(server.url("postgres"))
        await upgrade(record)
        await require_current(record)
        await record.aclose()


def test_bundled_programs_are_there() -> None:
    """The development dependencies bring a PostgreSQL, so no machine lacks one."""
    assert postgres.bundled()
    assert set(postgres.bundled()) <= set(postgres.candidates(path=""))


def test_nothing_found_is_a_failure() -> None:
    """Without any PostgreSQL the tests fail with a remedy; they are not skipped."""
    with pytest.raises(RuntimeError, match="Install the development dependencies"), postgres.running([]):
        pass
