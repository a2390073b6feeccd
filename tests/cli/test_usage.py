"""The command line before it does anything: help, version, wrong usage."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deskloom import __version__
from deskloom.cli import main

HEAVY = (
    "asyncpg",
    "fastapi",
    "httpx",
    "numpy",
    "onnxruntime",
    "pydantic",
    "qdrant_edge",
    "rich",
    "sqlalchemy",
    "uvicorn",
)
WRONG = {
    ("sync",): "Missing argument 'what'. Choose from: tickets, kb, hours, tables, all, incremental, full, stats, "
    "item. See: deskloom sync --help",
    ("sync", "people"): "Invalid value for 'what': 'people' is not one of 'tickets', 'kb', 'hours', 'tables', 'all', "
    "'incremental', 'full', 'stats', 'item'. See: deskloom sync --help",
    ("sync", "kb", "--limit", "0"): "Invalid value for '--limit': \"0\" is not a whole number from 1 to 500, "
    "for example 100. See: deskloom sync --help",
    ("sync", "kb", "--limit", "501"): "Invalid value for '--limit': \"501\" is not a whole number from 1 to 500, "
    "for example 100. See: deskloom sync --help",
    ("sync", "kb", "--limit", "all"): "Invalid value for '--limit': \"all\" is not a whole number from 1 to 500, "
    "for example 100. See: deskloom sync --help",
    ("sync", "kb", "--since", "yesterday"): "Invalid value for '--since': \"yesterday\" is not a time. "
    "Write it like 2025-01-31 or 2025-01-31T09:00:00Z. See: deskloom sync --help",
    ("search", "x", "--limit", "101"): "Invalid value for '--limit': \"101\" is not a whole number from 1 to 100, "
    "for example 10. See: deskloom search --help",
    ("runs", "--cancel"): "--cancel needs the id of a run: deskloom runs ID --cancel",
    ("frobnicate",): "No such command 'frobnicate'. See: deskloom --help",
    ("sandbox", "--product", "abacus"): 'The sandbox cannot be "abacus". Choose one of: freshdesk, freshservice',
}


def test_help_answers_without_loading_the_machinery() -> None:
    """Asking for help imports neither the web framework nor the model runtime, so that it answers at once."""
    program = "import sys; from deskloom.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Usage: deskloom" in done.stdout
    assert set(HEAVY) & set(done.stderr.split()) == set()


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version and ends well."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"deskloom {__version__}\n"


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_ends_2_with_one_sentence(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What the command line does not understand is told in one line on standard error, with status 2."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", WRONG[arguments] + "\n")
