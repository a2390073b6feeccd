"""`deskloom billing terms`: what was agreed with a company, from when to when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.cli.connection import Connection
    from deskloom.settings import Settings

terms = typer.Typer(help="What was agreed with a company: list, add, set, remove.", no_args_is_help=True)

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The company's account number.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id as `billing terms list` shows it.")]


def _option(name: str, metavar: str, help: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help)


From = Annotated[str, _option("--from", "DATE", "The first day whose work is billed like this, as 2025-01-01.")]
FromChanged = Annotated[str | None, _option("--from", "DATE", "Another first day.")]
To = Annotated[str | None, _option("--to", "DATE", "The last such day; `none` for no end.")]
Price = Annotated[str, _option("--rate", "AMOUNT", "What an hour costs, as 120.50.")]
PriceChanged = Annotated[str | None, _option("--rate", "AMOUNT", "What an hour costs.")]
Currency = Annotated[str | None, _option("--currency", "CODE", "ISO 4217; USD without it.")]
Monthly = Annotated[str | None, _option("--monthly", "HOURS", "Prepaid hours of a calendar month.")]
Yearly = Annotated[str | None, _option("--yearly", "HOURS", "Prepaid hours of a contract year.")]
Year = Annotated[
    str | None, _option("--year-start", "DATE", "A day on which a contract year begins; `none` for 1 January.")
]
Minutes = Annotated[int | None, _option("--increment", "MINUTES", "Bill in steps of so many minutes; 0: exactly.")]
Per = Annotated[str | None, _option("--increment-per", "WHAT", "Round up each `entry`, or each `ticket` and month.")]
Days = Annotated[int | None, _option("--payment-days", "DAYS", "Days until an invoice is due; 30 without it.")]
Item = Annotated[str | None, _option("--item", "NAME", "Product or service in QuickBooks.")]
Customer = Annotated[
    str | None, _option("--customer", "NAME", "Customer in QuickBooks; `none` for the company's name.")
]
Receivable = Annotated[str | None, _option("--receivable-account", "NAME", "Account in QuickBooks Desktop.")]
Income = Annotated[str | None, _option("--income-account", "NAME", "Account in QuickBooks Desktop.")]
Listing = Annotated[
    bool | None,
    typer.Option("--list-unbilled/--no-list-unbilled", help="List prepaid and not billable work on invoices too."),
]


@terms.command("list")
def list_terms(account: Account, as_json: Json = False) -> int:
    """Show a company's terms, earliest first."""
    return _run(_list, account, as_json)


@terms.command("add")
def add(
    account: Account,
    valid_from: From,
    rate: Price,
    valid_to: To = None,
    currency: Currency = None,
    monthly: Monthly = None,
    yearly: Yearly = None,
    year_start: Year = None,
    increment: Minutes = None,
    increment_per: Per = None,
    payment_days: Days = None,
    item: Item = None,
    customer: Customer = None,
    receivable_account: Receivable = None,
    income_account: Income = None,
    list_unbilled: Listing = None,
    as_json: Json = False,
) -> int:
    """Add terms to a company."""
    given = {
        "valid_from": valid_from,
        "rate": rate,
        "valid_to": valid_to,
        "currency": currency,
        "prepaid_monthly_hours": monthly,
        "prepaid_yearly_hours": yearly,
        "year_start": year_start,
        "increment_minutes": increment,
        "increment_per": increment_per,
        "payment_days": payment_days,
        "item": item,
        "customer_name": customer,
        "receivable_account": receivable_account,
        "income_account": income_account,
        "list_unbilled": list_unbilled,
    }
    return _run(_add, account, _read(given), as_json)


@terms.command("set")
def change(
    account: Account,
    id: Id,
    valid_from: FromChanged = None,
    rate: PriceChanged = None,
    valid_to: To = None,
    monthly: Monthly = None,
    yearly: Yearly = None,
    year_start: Year = None,
    increment: Minutes = None,
    increment_per: Per = None,
    payment_days: Days = None,
    item: Item = None,
    customer: Customer = None,
    receivable_account: Receivable = None,
    income_account: Income = None,
    list_unbilled: Listing = None,
    as_json: Json = False,
) -> int:
    """Change terms; what is not named stays. What invoiced months cost cannot be changed."""
    given = {
        "valid_from": valid_from,
        "rate": rate,
        "valid_to": valid_to,
        "prepaid_monthly_hours": monthly,
        "prepaid_yearly_hours": yearly,
        "year_start": year_start,
        "increment_minutes": increment,
        "increment_per": increment_per,
        "payment_days": payment_days,
        "item": item,
        "customer_name": customer,
        "receivable_account": receivable_account,
        "income_account": income_account,
        "list_unbilled": list_unbilled,
    }
    if not (body := _read(given)):
        raise exits.Ended(
            exits.USAGE, "Say what to change, for example: deskloom billing terms set 10042 ID --rate 130"
        )
    return _run(_change, account, id, body, as_json)


@terms.command("remove")
def remove(account: Account, id: Id) -> int:
    """Remove terms that no invoice was made by."""
    return _run(_remove, account, id)


_CAN_BE_NONE = ("valid_to", "year_start", "customer_name")


def _read(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as the API takes it; `none` is null where that means something."""
    body = {name: value for name, value in given.items() if value is not None}
    return {name: None if name in _CAN_BE_NONE and value == "none" else value for name, value in body.items()}


def _run(work: Any, *arguments: Any) -> int:
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    status: int = run(work(start(), *arguments))
    return status


def _path(account: str, id: str | None = None) -> str:
    path = f"/billing/{quote(account, safe='')}/terms"
    return path if id is None else f"{path}/{quote(id, safe='')}"


async def _list(settings: Settings, account: str, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say, say_json, say_table

    async with connect(settings, "billing terms") as desk:
        answer = await desk.call("GET", _path(account))
    if as_json:
        say_json(answer)
    elif not answer["items"]:
        say(f"No terms yet. Add some: deskloom billing terms add {account} --from 2025-01-01 --rate 120.00")
    else:
        columns = ("id", "from", "to", "rate", "currency", "monthly", "yearly", "steps")
        say_table(columns, [_row(item) for item in answer["items"]])
    return exits.DONE


def _row(item: dict[str, Any]) -> tuple[object, ...]:
    steps = f"{item['increment_minutes']} min per {item['increment_per']}" if item["increment_minutes"] else ""
    prepaid = (item["prepaid_monthly_hours"], item["prepaid_yearly_hours"])
    return item["id"], item["valid_from"], item["valid_to"], item["rate"], item["currency"], *prepaid, steps


async def _add(settings: Settings, account: str, body: dict[str, Any], as_json: bool) -> int:
    from deskloom.cli.connection import connect

    async with connect(settings, "billing terms") as desk:
        return _tell(await desk.call("POST", _path(account), body=body), as_json)


async def _change(settings: Settings, account: str, id: str, body: dict[str, Any], as_json: bool) -> int:
    from deskloom.cli.connection import connect

    async with connect(settings, "billing terms") as desk:
        known = await _standing(desk, account, id)
        return _tell(await desk.call("PUT", _path(account, id), body=known | body), as_json)


async def _standing(desk: Connection, account: str, id: str) -> dict[str, Any]:
    items = (await desk.call("GET", _path(account)))["items"]
    for item in items:
        if item["id"] == id:
            return {name: value for name, value in item.items() if name not in ("id", "account_number")}
    raise exits.Ended(exits.FAILED, f"Account {account} has no terms {id}. See: deskloom billing terms list {account}")


async def _remove(settings: Settings, account: str, id: str) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say

    async with connect(settings, "billing terms") as desk:
        await desk.call("DELETE", _path(account, id))
    say("1 terms removed.")
    return exits.DONE


def _tell(made: dict[str, Any], as_json: bool) -> int:
    from deskloom.cli.output import clean, say, say_json

    if as_json:
        say_json(made)
    else:
        until = f"to {made['valid_to']}" if made["valid_to"] else "on"
        prepaid = f"{made['prepaid_monthly_hours']} h a month and {made['prepaid_yearly_hours']} h a year prepaid"
        said = f"{made['account_number']}: from {made['valid_from']} {until}, {made['rate']} {made['currency']} an hour"
        say(clean(f"{said}, {prepaid} (terms {made['id']})"))
    return exits.DONE
