"""The program: its commands, in the order a newcomer meets them. Each is a module beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from deskloom import __version__
from deskloom.cli import (
    billing,
    db,
    demo,
    doctor,
    export,
    failures,
    models,
    reindex,
    runs,
    sandbox,
    schedules,
    search,
    serve,
    source,
    status,
    sweep,
    sync,
    table,
    verify,
    worker,
)

program = typer.Typer(
    name="deskloom",
    help="Keeps a team's support knowledge in one place and in step: helpdesk tickets and articles as a relational "
    "record, searchable by meaning and by word.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage or setting, 3 partly done (some items failed), 4 already "
    "running, 128 + n stopped by signal n.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deskloom {__version__}")
        raise typer.Exit


@program.callback()
def deskloom(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


program.command("demo")(demo.demo)
program.command("serve")(serve.serve)
program.command("worker")(worker.worker)
program.command("sync")(sync.sync)
program.command("sweep")(sweep.sweep)
program.command("verify")(verify.verify)
program.command("search")(search.search)
program.command("status")(status.status)
program.command("runs")(runs.runs)
program.add_typer(failures.failures, name="failures")
program.add_typer(schedules.schedules, name="schedules")
program.add_typer(source.source, name="source")
program.add_typer(table.table, name="table")
program.add_typer(export.export, name="export")
program.add_typer(billing.billing, name="billing")
program.command("reindex")(reindex.reindex)
program.command("doctor")(doctor.doctor)
program.add_typer(db.db, name="db")
program.add_typer(models.models, name="models")
program.command("sandbox")(sandbox.sandbox)
