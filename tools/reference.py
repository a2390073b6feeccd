"""Writes docs/reference anew from the program: the command line, the settings, the HTTP API (`make docs`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from deskloom.api.reference import reference as openapi
from deskloom.cli.program import program
from deskloom.settings import Settings, SourceSettings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
WRITTEN = "<!-- Written by `make docs`; a test compares it with the program. -->"


def cli() -> str:
    """Every command with its arguments and options, as markdown."""
    root = typer.main.get_command(program)
    lines = ["# Command line", "", WRITTEN, "", root.help or "", "", root.epilog or "", ""]
    lines += ["`python -m deskloom` is the same program. Settings are in [settings.md](settings.md).", ""]
    for path, command in _commands(root, "deskloom"):
        context = typer.Context(command, info_name=path)
        lines += [f"## `{path}`", "", _flat(command.help), "", "```", _usage(command, context), "```", ""]
        rows = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
        rows = [row for row in rows if "--help" not in row[0]]
        if rows:
            lines += ["| | |", "| --- | --- |"]
            lines += [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in rows]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def settings() -> str:
    """Every setting with its default and meaning, as markdown."""
    lines = ["# Settings", "", WRITTEN, ""]
    lines += [
        "From the environment, or from `.env` in the current folder; the environment wins. "
        "A wrong value stops the start and names itself.",
        "",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    for field in Settings.model_fields.values():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        lines.append(f"| `{field.alias}` | {default} | {_cell(field.description or '')} |")
    lines += ["", "Several helpdesks stand in `deskloom.toml` in the current folder:", ""]
    shown = {"kind": "freshdesk", "domain": "acme", "api_key": "your-key", "account_field": "account_number"}
    assert set(shown) | {"name", "api_key_env"} == set(SourceSettings.model_fields)
    lines += ["```toml", "[sources.acme]", *(f'{name} = "{value}"' for name, value in shown.items()), "```"]
    lines += ["", "In place of `api_key`, `api_key_env` names the environment variable that holds the key."]
    return "\n".join(lines) + "\n"


FILES: Mapping[str, Callable[[], str]] = {"cli.md": cli, "settings.md": settings, "openapi.json": openapi}


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    for name, each in inner.items():
        yield from _commands(each, f"{path} {name}")


def _usage(command: Any, context: Any) -> str:
    return " ".join([context.info_name, *command.collect_usage_pieces(context)])


def _flat(text: str | None) -> str:
    """Paragraphs without the line breaks they have in the source."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, write in FILES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
        print(f"docs/reference/{name}", file=sys.stderr)
