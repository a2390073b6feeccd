"""Adding to `deskloom.toml`: what stands there stays, and what cannot be added to is left alone."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deskloom.cli.toml import add_table, restore
from deskloom.errors import SettingInvalid

ENTRY = {"kind": "freshdesk", "domain": "acme"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(exclude_categories=["Cs"])), end=st.sampled_from(("", "\n", "  # c", "\r\n")))
def test_any_value_comes_back(tmp_path: Path, value: str, end: str) -> None:
    """What is written reads back as it was given, beside what stood there; restoring gives the old bytes."""
    file = tmp_path / "deskloom.toml"
    old = f"[sources.other]\nkind = 'freshdesk'{end}".encode()
    file.write_bytes(old)
    before = add_table(file, ("sources", "acme"), {"kind": "freshdesk", "domain": value})
    assert tomllib.loads(file.read_text(encoding="utf-8"))["sources"] == {
        "other": {"kind": "freshdesk"},
        "acme": {"kind": "freshdesk", "domain": value},
    }
    restore(file, before)
    assert file.read_bytes() == old


@pytest.mark.parametrize(
    "text", ["sources = {}", "[sources.acme]\nkind = 'x'", "sources = 'none'", "[sources", "\xff"], ids=range(5)
)
def test_what_cannot_be_added_to_is_left_alone(tmp_path: Path, text: str) -> None:
    """The file keeps its bytes, and the sentence names it."""
    file = tmp_path / "deskloom.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingInvalid, match=r"deskloom\.toml"):
        add_table(file, ("sources", "acme"), ENTRY)
    assert file.read_bytes() == text.encode("latin-1")
    assert [path.name for path in tmp_path.iterdir()] == ["deskloom.toml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A file that is kept elsewhere is changed there."""
    (tmp_path / "kept.toml").write_text("")
    (tmp_path / "deskloom.toml").symlink_to(tmp_path / "kept.toml")
    add_table(tmp_path / "deskloom.toml", ("sources", "acme"), ENTRY)
    assert (tmp_path / "deskloom.toml").is_symlink()
    assert tomllib.loads((tmp_path / "kept.toml").read_text()) == {"sources": {"acme": ENTRY}}


def test_a_new_file_is_removed_by_restoring(tmp_path: Path) -> None:
    """Where nothing was, nothing is left."""
    file = tmp_path / "deskloom.toml"
    restore(file, add_table(file, ("sources", "acme"), ENTRY))
    assert not file.exists()
