"""The reference documentation is what the program says."""

from __future__ import annotations

import pytest
from tools.reference import FILES, FOLDER


@pytest.mark.parametrize("name", ["cli.md", "settings.md"])
def test_the_reference_is_what_the_program_says(name: str) -> None:
    """`make docs` was run after the last change."""
    assert (FOLDER / name).read_text(encoding="utf-8") == FILES[name]()
