"""Adds a table to `deskloom.toml` and leaves everything else in the file as it is, comments included."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deskloom.errors import SettingInvalid

PRIVATE = 0o600
"""The file may hold keys, so nobody else reads it."""


def add_table(file: Path, path: tuple[str, str], values: Mapping[str, Any]) -> bytes | None:
    """Append the table `[path]` to the file, which is made if need be; returns what was there before, for `restore`.

    Values are texts, whole numbers, lists of texts, and mappings of texts to these.

    Raises `SettingInvalid` where the file cannot be read or written, or writes that part in a way that cannot be
    appended to; nothing is changed then.
    """
    lines = [f"[{'.'.join(path)}]", *(f"{name} = {_value(value)}" for name, value in values.items())]
    table = "\n".join(lines) + "\n"
    try:
        before = file.read_bytes() if file.exists() else None
        text = (before or b"").decode("utf-8")
        known = tomllib.loads(text)
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        wanted = _with(known, path, values)
        if wanted is None or _parsed(text + gap + table) != wanted:
            raise SettingInvalid(
                f"{file} cannot be added to as it is written. Add by hand:\n{table}", setting=str(file)
            )
        _write(file, (text + gap + table).encode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingInvalid(f"{file} cannot be changed: {error}", setting=str(file)) from error
    return before


def restore(file: Path, before: bytes | None) -> None:
    """Put the file back as it was before `add_table`."""
    if before is None:
        file.unlink(missing_ok=True)
    else:
        _write(file, before)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quoted(name)} = {_value(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value) if isinstance(value, int) else _quoted(value)


def _quoted(value: str) -> str:
    """A TOML basic string. It is JSON's, but for half pairs of surrogates and DEL, which must be escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _with(known: dict[str, Any], path: tuple[str, str], values: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the file should say afterwards; None if the table is there already."""
    outer, inner = path
    tables = known.get(outer, {})
    if not isinstance(tables, dict) or inner in tables:
        return None
    return known | {outer: tables | {inner: dict(values)}}


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _write(file: Path, content: bytes) -> None:
    """Replace the file in one step, readable by its owner only; a link stays a link."""
    target = file.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # made with mode 600
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, PRIVATE)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
