"""The command line. What a command needs is imported when it runs, so that `deskloom --help` answers at once."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from deskloom.cli import exits
from deskloom.errors import DeskloomError

DEBUG = "DESKLOOM_DEBUG"
"""Set in the environment, a bug shows its traceback."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (`exits`); an error ends in one sentence on standard error."""
    try:
        status = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output is gone: `deskloom search … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    return status


def _run(argv: Sequence[str] | None) -> int:
    from deskloom.cli.program import program

    try:
        result = typer.main.get_command(program).main(args=argv, prog_name="deskloom", standalone_mode=False)
    except exits.Ended as ended:
        return _complain(ended.sentence, ended.status)
    except DeskloomError as error:
        return _complain(error.message, exits.of_code(error.code))
    except typer.TyperException as error:
        return _complain(_usage(error), exits.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:  # a bug must end in a sentence too, and say how to see more
        if os.environ.get(DEBUG):
            traceback.print_exc()
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        sentence = f"Internal error: {type(error).__name__} at {place}. This is a bug; {DEBUG}=1 shows its traceback."
        return _complain(sentence, exits.FAILED)
    return result if isinstance(result, int) else exits.DONE


def _usage(error: typer.TyperException) -> str:
    """The parser's complaint, and where the right usage is told."""
    message = str(getattr(error, "format_message", lambda: error)()).strip().replace("Value error, ", "")
    if message.startswith("Usage:"):  # nothing was asked for, so the parser tells everything
        return message
    message = " ".join(message.split())
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "deskloom"
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See: {command} --help"


def _complain(sentence: str, status: int) -> int:
    if sentence:
        print(sentence, file=sys.stderr)  # noqa: T201
    return status
