"""The command line. What a command needs is imported when it runs, so that `deskloom --help` answers at once."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from deskloom.cli import exits


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; every error ends in one sentence on standard error."""
    try:
        return _run(argv)
    except BrokenPipeError:  # the reader of our output is gone (`deskloom search … | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED


def _run(argv: Sequence[str] | None) -> int:
    from typer import _click as click_inside  # noqa: F401
    return 0
