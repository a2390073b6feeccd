"""`deskloom export`: what the record is handed on as. Each form is a module beside this one."""

from __future__ import annotations

import typer

from deskloom.cli import export_graph, export_invoices, export_markdown

export = typer.Typer(help="Hand the record on: as markdown documents, a graph, or invoices.", no_args_is_help=True)
export.command("markdown")(export_markdown.markdown)
export.command("graph")(export_graph.graph)
export.command("invoices")(export_invoices.invoices)
