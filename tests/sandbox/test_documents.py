"""What the documentation says of the sandbox, compared with what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from deskloom.sandbox import Switches, freshservice
from deskloom.sandbox.switches import SharedSwitches

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def _names(switches: type) -> set[str]:
    return {field.name for field in fields(switches)}


def test_every_switch_is_in_its_table() -> None:
    """The three tables of switches name exactly those that both products have, and each one's own."""
    section = PAGE.read_text(encoding="utf-8").partition("## Switches")[2].partition("## In Python")[0]
    listed: dict[str, set[str]] = {}
    for table in section.split("\n\n|")[1:]:
        head, *rows = table.splitlines()
        firsts = " ".join(row.split("|")[1] for row in rows[1:] if row.startswith("|"))
        listed[head.split("|")[0].strip()] = set(re.findall(r"`(\w+)`", firsts))
    shared = _names(SharedSwitches)
    own = {"Freshdesk": _names(Switches) - shared, "Freshservice": _names(freshservice.Switches) - shared}
    assert listed == {"both products": shared, **own}
