"""How Alembic reaches the database: through the connection, and inside the transaction, that its caller opened."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from deskloom.record.tables import VERSION_TABLE, metadata


def ours(_: Any, name: str | None, kind: str, reflected: bool, __: Any) -> bool:
    """Leave other programs' tables out of comparisons."""
    return not (kind == "table" and reflected and name not in metadata.tables)


def render(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """Write our own column types by their names in `deskloom.record.columns`."""
    from deskloom.record import columns

    if kind != "type":
        return False
    name = type(item).__name__
    if name in ("CleanText", "UtcTime"):
        found = f"{name}()"
    elif type(item) is type(columns.json_type()):
        found = "json_type()"
    elif type(item) is type(columns.serial_type()) and "sqlite" in item._variant_mapping:
        found = "serial_type()"
    else:
        return False
    autogen.imports.add(f"from deskloom.record.columns import {found.removesuffix('()')}")
    return found


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_object=ours,
    render_item=render,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
