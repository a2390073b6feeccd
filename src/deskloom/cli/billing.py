"""`deskloom billing`: what companies owe for a month, invoices, and the terms they are made by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from deskloom.cli import exits
from deskloom.cli.billing_terms import terms
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.settings import Settings

billing = typer.Typer(help="Hours, invoices and terms: show, issue, invoices, terms.", no_args_is_help=True)
billing.add_typer(terms, name="terms")

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The company's account number.")]
Month = Annotated[str, typer.Option("--month", metavar="MONTH", help="The month, as 2025-01.")]
Accept = Annotated[
    bool, typer.Option("--accept-warnings", help="Issue although something looks wrong, as `show` tells.")
]


@billing.command("show")
def show(
    month: Month,
    account: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT]", help="An account number; all of them without it.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Show what a company owes for a month: its invoice, or what it would be now.

    Without an account every company's month at a glance, and who is not billed. With --json the body of GET
    /api/v1/billing/ACCOUNT, or of GET /api/v1/billing, is printed.
    """
    path = f"/billing/{quote(account, safe='')}" if account is not None else "/billing"
    return _run("GET", path, _tell_statement if account is not None else _tell_month, as_json, params={"month": month})


@billing.command("issue")
def issue(
    month: Month,
    account: Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="An account number.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every company that can be billed.")] = False,
    accept_warnings: Accept = False,
    date: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="The date it bears; the month's last day without it.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Issue the invoice of a month, for good. What changes afterwards stands on the next invoice as a correction.

    Repeating it changes nothing. Ends 3 if --all left companies out.
    """
    if (account is None) != every:
        raise exits.Ended(exits.USAGE, "Name an account, or say --all: deskloom billing issue 10042 --month 2025-01")
    body = {"month": month, "accept_warnings": accept_warnings, "invoice_date": date}
    if account is None:
        return _run("POST", "/billing/invoices", _tell_issued, as_json, body=body)
    path = f"/billing/{quote(account, safe='')}/invoices"
    return _run("POST", path, _tell_statement, as_json, body=body)


@billing.command("invoices")
def invoices(account: Account, as_json: Json = False) -> int:
    """List the invoices that were issued to a company."""
    return _run("GET", f"/billing/{quote(account, safe='')}/invoices", _tell_invoices, as_json)


def _run(
    method: str,
    path: str,
    tell: Callable[[Any], None],
    as_json: bool,
    *,
    params: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
) -> int:
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    return run(_ask(start(), method, path, tell, as_json, params, body))


async def _ask(
    settings: Settings,
    method: str,
    path: str,
    tell: Callable[[Any], None],
    as_json: bool,
    params: dict[str, Any] | None,
    body: dict[str, Any] | None,
) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say_json

    async with connect(settings, "billing") as desk:
        answer = await desk.call(method, path, params=params, body=body)
    if as_json:
        say_json(answer)
    else:
        tell(answer)
    return exits.PARTIAL if left_out(answer.get("not_issued", [])) else exits.DONE


def _tell_statement(answer: dict[str, Any]) -> None:
    from deskloom.cli.output import clean, notice, say, say_table

    head = f"{answer['number']} ({answer['state']}): {answer['customer']}, {answer['month']}"
    due = f"dated {answer['invoice_date']}, due {answer['due_date']}"
    say(clean(f"{head}, {answer['total']} {answer['currency'] or ''}; {due}"))
    if answer["reason"]:
        say(clean(f"No invoice: {answer['reason']}"))
    hours = answer["hours"]
    parts = (
        f"{name.replace('_', ' ')} {value}" for name, value in hours.items() if name == "worked" or value != "0.00"
    )
    say(f"hours: {', '.join(parts)}")
    for name, prepaid in answer["prepaid"].items():
        if prepaid is not None and prepaid["granted"] != "0.00":
            used = f"{prepaid['used']} used, {prepaid['left']} left"
            say(f"prepaid {name}: {prepaid['granted']} since {prepaid['begins']}; {used}")
    if answer["lines"]:
        say_table(("description", "hours", "rate", "amount"), [_line(line) for line in answer["lines"]])
    for line in answer["pending_corrections"]:
        say(clean(f"on the next invoice: {line['description']}: {line['hours']} h, {line['amount']}"))
    for each in answer["not_invoiced"]:
        notice(f"{each['month']} has {each['billable_hours']} billable hours that were never invoiced.")
    for warned in answer["warnings"]:
        notice(clean(f"warning: {warned['detail']}"))


def _line(line: dict[str, Any]) -> tuple[object, ...]:
    return line["description"], line["hours"], line["rate"], line["amount"]


def _tell_month(answer: dict[str, Any]) -> None:
    from deskloom.cli.output import clean, counted, notice, say, say_table

    rows = [(each["number"], "issued", each["total"], each["currency"], "") for each in answer["issued"]]
    for each in answer["drafts"]:
        remark = counted(len(each["warnings"]), "warning") if each["warnings"] else ""
        rows.append((each["number"], "draft", each["total"], each["currency"], remark))
    if rows:
        say_table(("invoice", "state", "total", "currency", "remark"), sorted(rows))
    else:
        say(f"No invoices for {answer['month']}.")
    tell_not_billed(answer["not_billed"])
    for each in answer["astray"]:
        what = f"{each['hours']} h on {counted(each['tickets'], 'ticket')} belong to no account"
        notice(clean(f"{what} ({each['why'].replace('_', ' ')})."))
    if answer["undated"]["entries"]:
        notice(f"{counted(answer['undated']['entries'], 'time entry')} count in no month yet.")


def left_out(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the accounts without an invoice that should have one: there was work, or something to correct."""
    return [each for each in items if each["code"] != "no_work"]


def tell_not_billed(items: list[dict[str, Any]]) -> None:
    """The accounts that should have an invoice and have none, each with its reason."""
    from deskloom.cli.output import clean, notice

    for each in left_out(items):
        names = f" ({', '.join(each['companies'])})" if each["companies"] else ""
        notice(clean(f"not billed: {each['account_number']}{names}, {each['hours']} h: {each['reason']}"))


def _tell_issued(answer: dict[str, Any]) -> None:
    from deskloom.cli.output import clean, counted, say

    for each in answer["issued"]:
        say(clean(f"{each['number']}: {each['total']} {each['currency']}, due {each['due_date']}"))
    say(f"{counted(len(answer['issued']), 'invoice')} issued.")
    tell_not_billed(answer["not_issued"])


def _tell_invoices(answer: dict[str, Any]) -> None:
    from deskloom.cli.output import say, say_table

    if not answer["items"]:
        say("No invoice was issued yet.")
        return
    columns = ("number", "total", "currency", "invoice_date", "due_date", "issued_at", "issued_by")
    say_table(columns, [[each[name] for name in columns] for each in answer["items"]])
