"""`/billing`: what companies owe for a month, invoices issued for good, and their files for QuickBooks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from deskloom.api.access import Agent, Operator
from deskloom.api.billing_shapes import (
    InvoicesListed,
    IssueRequest,
    LineOut,
    Month,
    MonthIssued,
    MonthOut,
    NotBilledOut,
    StatementOut,
    Undated,
    astray_out,
    draft_out,
    invoice_out,
    line_out,
    not_billed_out,
    statement_out,
)
from deskloom.api.companies import AccountNumber
from deskloom.api.errors import problems
from deskloom.api.shapes import Deskloom
from deskloom.billing import Rules
from deskloom.billing.amounts import shown_hours
from deskloom.errors import Conflict, NotFound, RequestError
from deskloom.exports import invoices as making
from deskloom.exports.invoices import Draft
from deskloom.exports.quickbooks import to_csv, to_iif
from deskloom.record import billing as books
from deskloom.record.billing import Invoice
from deskloom.wiring import App

router = APIRouter(tags=["billing"])
TYPES: Mapping[str, str] = {"csv": "text/csv; charset=utf-8", "iif": "text/plain; charset=windows-1252"}
MonthAsked = Annotated[Month, Query(description="The month, as 2025-01.", examples=["2025-01"])]


def _file(media_type: str, about: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": about, "content": {media_type: {"schema": schema}}}}


@router.get("/billing", responses=problems(401, 403, 503))
async def get_billing_month(app: Deskloom, caller: Agent, month: MonthAsked) -> MonthOut:
    """Every account's month: invoices issued and to be issued, who is not billed and why, and work that is nobody's."""
    async with app.record.reading() as tx:
        found = await making.draft_all(tx, making.rules_of(app.settings), month)
    undated = found.undated
    return MonthOut(
        month=f"{month:%Y-%m}",
        issued=[invoice_out(invoice) for invoice in found.issued],
        drafts=[draft_out(draft) for draft in found.drafts],
        not_billed=[not_billed_out(each) for each in found.not_billed],
        astray=[astray_out(each) for each in found.astray],
        undated=Undated(entries=undated.entries, hours=shown_hours(undated.seconds), seconds=undated.seconds),
    )


@router.get(
    "/billing/invoices.zip",
    response_class=Response,
    responses={
        **_file("application/zip", "A file for each invoice, and `not-billed.csv`: the accounts without one, and why."),
        **problems(401, 403, 503),
    },
)
async def get_invoices_zip(
    app: Deskloom,
    caller: Agent,
    month: MonthAsked,
    format: Annotated[making.Format, Query(description="Which files of each invoice.")] = "both",
) -> Response:
    """The invoices of all companies: issued ones as they were issued, the others as drafts. Equal invoices make an
    equal file. The header `X-Deskloom-Not-Billed` counts the accounts that are left out."""
    async with app.record.reading() as tx:
        found = await making.draft_all(tx, making.rules_of(app.settings), month)
    packed = await asyncio.to_thread(making.pack_month, found, format)
    headers = {
        "Content-Disposition": f'attachment; filename="invoices-{month:%Y%m}.zip"',
        "X-Deskloom-Not-Billed": str(len(found.not_billed)),
    }
    return Response(packed, media_type="application/zip", headers=headers)


@router.post("/billing/invoices", responses=problems(401, 403, 413, 503))
async def issue_invoices(app: Deskloom, caller: Operator, asked: IssueRequest) -> MonthIssued:
    """Issue the invoices of all companies for a month. One that cannot be issued is said, and the rest goes on."""
    rules = making.rules_of(app.settings)
    async with app.record.reading() as tx:
        found = await making.draft_all(tx, rules, asked.month)
    issued: list[Invoice] = []
    refused: list[NotBilledOut] = [not_billed_out(each) for each in found.not_billed]
    for draft in found.drafts:
        account = draft.statement.account_number
        try:
            invoice, _ = await _issue(app, rules, account, asked, by=caller.name)
            issued.append(invoice)
        except RequestError as error:
            seconds = sum(ticket.worked for ticket in draft.statement.tickets)
            refused.append(
                NotBilledOut(
                    account_number=account,
                    companies=[draft.statement.customer],
                    code=error.code,
                    reason=error.message,
                    hours=shown_hours(seconds),
                    seconds=seconds,
                )
            )
    return MonthIssued(issued=[invoice_out(invoice) for invoice in issued], not_issued=refused)


@router.get("/billing/{account_number}", responses=problems(401, 403, 404, 409, 503))
async def get_statement(app: Deskloom, caller: Agent, account_number: AccountNumber, month: MonthAsked) -> StatementOut:
    """A company's month: the invoice as it was issued, else as it would be now.

    Work on which no terms hold is not billed (`seconds.without_terms`, `reason`). What changed after an invoice was
    issued stands in its `pending_corrections`, and as lines of its own on the next.
    """
    rules = making.rules_of(app.settings)
    async with app.record.reading() as tx:
        issued = await books.load_invoices(tx, account_number=account_number, month=month)
        try:
            draft = await making.draft(tx, rules, account_number, month)
        except RequestError:
            if not issued:
                raise
            draft = None  # what was issued stands, whatever became of the company
    if issued:
        pending = [line_out(line) for line in draft.statement.corrections] if draft else []
        return _issued_out(issued[0], pending)
    assert draft is not None
    return _draft_out(draft)


@router.get(
    "/billing/{account_number}/invoice.csv",
    response_class=Response,
    responses={**_file("text/csv", "UTF-8, a row for each line."), **problems(401, 403, 404, 409, 503)},
)
async def get_invoice_csv(app: Deskloom, caller: Agent, account_number: AccountNumber, month: MonthAsked) -> Response:
    """The invoice for QuickBooks Online, issued or (`X-Deskloom-State: draft`) as it would be now."""
    return await _get_file(app, account_number, month, "csv")


@router.get(
    "/billing/{account_number}/invoice.iif",
    response_class=Response,
    responses={**_file("text/plain", "Windows-1252, tab-separated."), **problems(401, 403, 404, 409, 503)},
)
async def get_invoice_iif(app: Deskloom, caller: Agent, account_number: AccountNumber, month: MonthAsked) -> Response:
    """The invoice for QuickBooks Desktop, issued or (`X-Deskloom-State: draft`) as it would be now."""
    return await _get_file(app, account_number, month, "iif")


@router.get("/billing/{account_number}/invoices", responses=problems(401, 403, 404, 503))
async def list_invoices(app: Deskloom, caller: Agent, account_number: AccountNumber) -> InvoicesListed:
    """The account's issued invoices, in the order they were issued."""
    async with app.record.reading() as tx:
        await _require_account(tx, account_number)
        found = await books.load_invoices(tx, account_number=account_number)
    return InvoicesListed(items=[invoice_out(invoice) for invoice in found])


@router.post(
    "/billing/{account_number}/invoices",
    status_code=201,
    responses={
        200: {"description": "It was issued before, and is as it was.", "model": StatementOut},
        **problems(401, 403, 404, 409, 413, 503),
    },
)
async def issue_invoice(
    app: Deskloom, caller: Operator, account_number: AccountNumber, asked: IssueRequest, response: Response
) -> StatementOut:
    """Issue a month's invoice, for good: it never changes again. Repeating it gives the same invoice.

    409 while the month has not ended, where there is nothing to bill, and for warnings that are not accepted.
    """
    invoice, new = await _issue(app, making.rules_of(app.settings), account_number, asked, by=caller.name)
    response.status_code = 201 if new else 200
    return _issued_out(invoice, [])


async def _issue(app: App, rules: Rules, account: str, asked: IssueRequest, *, by: str) -> tuple[Invoice, bool]:
    """The month's invoice, and whether it is new."""
    async with app.record.transaction() as tx:
        await books.lock_account(tx, account)
        standing = await books.load_invoices(tx, account_number=account, month=asked.month)
        if standing:
            return standing[0], False
        made = await making.draft(tx, rules, account, asked.month, invoice_date=asked.invoice_date)
        now = app.clock()
        making.require_issuable(made, rules, now=now, accept_warnings=asked.accept_warnings)
        invoice = await making.issue(
            tx,
            rules,
            made,
            shown=statement_out(made.statement, None).model_dump(mode="json"),
            files=(to_csv(made.statement), to_iif(made.statement)),
            by=by,
            now=now,
        )
        return invoice, True


async def _get_file(app: App, account: str, month: date, kind: Literal["csv", "iif"]) -> Response:
    rules = making.rules_of(app.settings)
    async with app.record.reading() as tx:
        issued = await books.load_invoices(tx, account_number=account, month=month)
        draft = None if issued else await making.draft(tx, rules, account, month)
    if draft is None:
        content = issued[0].csv if kind == "csv" else issued[0].iif
    elif reason := making.why_not(draft.statement):
        raise Conflict(f"Account {account} has no invoice for {month:%Y-%m}. {reason[1]}", reason=reason[0])
    else:
        content = to_csv(draft.statement) if kind == "csv" else to_iif(draft.statement)
    headers = {
        "Content-Disposition": f'attachment; filename="{making.file_name(account, month, kind)}"',
        "X-Deskloom-State": "draft" if draft else "issued",
    }
    return Response(content, headers={**headers, "Content-Type": TYPES[kind]})


def _draft_out(draft: Draft) -> StatementOut:
    reason = making.why_not(draft.statement)
    return statement_out(draft.statement, reason[1] if reason else None)


def _issued_out(invoice: Invoice, pending: list[LineOut]) -> StatementOut:
    standing = StatementOut.model_validate(invoice.statement)
    facts = {"state": "issued", "issued_at": invoice.issued_at, "issued_by": invoice.issued_by}
    return standing.model_copy(update={**facts, "pending_corrections": pending})


async def _require_account(tx: AsyncConnection, account: str) -> None:
    if not await books.load_owners(tx, account) and not await books.load_terms(tx, account):
        raise NotFound(f'No company has the account number "{account}".', account_number=account)
