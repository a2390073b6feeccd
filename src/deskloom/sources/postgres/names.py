"""What Deskloom's own things in the team's database are called."""

from __future__ import annotations

import hashlib
import re

LONGEST = 63
"""Bytes of a name; PostgreSQL cuts off what is beyond."""


def made_name(prefix: str, name: str, *, plain: bool = False) -> str:
    """A name that no other table's is like. `plain`: of small letters, digits and underscores only."""
    shown = re.sub("[^a-z0-9_]", "_", name) if plain else name
    made = f"{prefix}{shown}"
    if shown == name and len(made) <= LONGEST:
        return made
    return f"{made[: LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
