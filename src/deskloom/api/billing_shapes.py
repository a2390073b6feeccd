"""What `/billing` takes and answers. Money and hours are decimals written as text, so that no digit is lost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from deskloom.api.shapes import Body, Time, example
from deskloom.billing import Statement
from deskloom.billing.amounts import named, read_month, shown_hours, written
from deskloom.billing.statement import Allowance, Line, TicketHours
from deskloom.exports.invoices import Astray, Draft, NotBilled
from deskloom.record.billing import Invoice

Month = Annotated[
    date,
    BeforeValidator(lambda value: read_month(str(value))),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$", "examples": ["2025-01"]}),
]


class TicketBehind(BaseModel):
    """A ticket behind a line. `default`: no time was logged on it, and it counts as the setting says."""

    source: str
    id: int
    subject: str | None
    hours: str
    seconds: int
    default: bool


class LineOut(BaseModel):
    """A line of an invoice. `seconds` is the exact quantity; a correction may take away."""

    kind: Literal["billable", "prepaid", "not_billable", "correction"]
    month: str = Field(description="The month the work counts in; of a correction, the month that is corrected.")
    description: str
    item: str
    hours: str
    seconds: int
    rate: str
    amount: str
    tickets: list[TicketBehind]


class Divided(BaseModel):
    """Time by what became of it:
    worked + added = prepaid_monthly + prepaid_yearly + billable + not_billable + without_terms, in whole seconds."""

    worked: int
    added: int = Field(description="By billing in steps.")
    prepaid_monthly: int
    prepaid_yearly: int
    billable: int
    not_billable: int
    without_terms: int


class DividedHours(BaseModel):
    """The same in hours, each rounded to five decimals."""

    worked: str
    added: str
    prepaid_monthly: str
    prepaid_yearly: str
    billable: str
    not_billable: str
    without_terms: str


class TicketOut(BaseModel):
    """A ticket's time in the month."""

    source: str
    id: int
    subject: str | None
    default: bool = Field(description="No time was logged on it; it counts as DESKLOOM_DEFAULT_HOURS says.")
    hours: DividedHours
    seconds: Divided


class AllowanceOut(BaseModel):
    """Prepaid hours: agreed, used by earlier months of the contract year, used by this month, left after it."""

    begins: date
    granted: str
    used_before: str
    used: str
    left: str


class Prepaid(BaseModel):
    """What is prepaid; null where no terms hold in the month."""

    monthly: AllowanceOut | None
    yearly: AllowanceOut | None


class WarningOut(BaseModel):
    """Something that is probably wrong. It is counted as it stands; issuing over it needs a person's word."""

    code: str
    detail: str
    source: str | None
    ticket_id: int | None
    entry_id: int | None


class NotInvoiced(BaseModel):
    """An earlier month whose billable hours were never invoiced."""

    month: str
    billable_hours: str


class StatementOut(BaseModel):
    """A company's month: an issued invoice as it was issued, or a draft as things are now."""

    model_config = example(
        account_number="10042",
        month="2025-01",
        number="10042-202501",
        state="draft",
        reason=None,
        customer="Mill & Sons",
        currency="USD",
        rate="120.00",
        invoice_date="2025-01-31",
        due_date="2025-03-02",
        issued_at=None,
        issued_by=None,
        total="180.00",
        lines=[
            {
                "kind": "billable",
                "month": "2025-01",
                "description": "2025-01, ticket 412: Printer offline",
                "item": "Support",
                "hours": "1.50",
                "seconds": 5400,
                "rate": "120.00",
                "amount": "180.00",
                "tickets": [
                    {
                        "source": "freshdesk",
                        "id": 412,
                        "subject": "Printer offline",
                        "hours": "1.50",
                        "seconds": 5400,
                        "default": False,
                    }
                ],
            }
        ],
        hours={
            "worked": "1.50",
            "added": "0.00",
            "prepaid_monthly": "0.00",
            "prepaid_yearly": "0.00",
            "billable": "1.50",
            "not_billable": "0.00",
            "without_terms": "0.00",
        },
        seconds={
            "worked": 5400,
            "added": 0,
            "prepaid_monthly": 0,
            "prepaid_yearly": 0,
            "billable": 5400,
            "not_billable": 0,
            "without_terms": 0,
        },
        prepaid={"monthly": None, "yearly": None},
        tickets=[],
        warnings=[],
        not_invoiced=[],
        pending_corrections=[],
    )

    account_number: str
    month: str
    number: str
    state: Literal["draft", "issued"]
    reason: str | None = Field(description="Why there is no invoice to issue; null: there is one.")
    customer: str
    currency: str | None
    rate: str | None = Field(description="Of an hour at the end of the month; lines have their own.")
    invoice_date: date
    due_date: date
    issued_at: Time | None
    issued_by: str | None
    total: str
    lines: list[LineOut]
    hours: DividedHours
    seconds: Divided
    prepaid: Prepaid
    tickets: list[TicketOut] = Field(description="Every ticket with time in the month, billed or not.")
    warnings: list[WarningOut]
    not_invoiced: list[NotInvoiced] = Field(description="Earlier months without an invoice; issue those too.")
    pending_corrections: list[LineOut] = Field(
        description="Of an issued invoice: what changed since in any invoiced month, and the next invoice will say."
    )


class IssueRequest(Body):
    """Which month to invoice."""

    model_config = Body.model_config | example(month="2025-01", accept_warnings=False, invoice_date=None)

    month: Month
    accept_warnings: bool = Field(False, description="Issue although there are warnings.")
    invoice_date: date | None = Field(None, description="The date it bears; null: the last day of the month.")


class InvoiceOut(BaseModel):
    """An issued invoice, in short."""

    model_config = example(
        number="10042-202501",
        account_number="10042",
        month="2025-01",
        issued_at="2025-02-01T08:00:00Z",
        issued_by="local",
        invoice_date="2025-01-31",
        due_date="2025-03-02",
        currency="USD",
        total="180.00",
    )

    number: str
    account_number: str
    month: str
    issued_at: Time
    issued_by: str | None
    invoice_date: date
    due_date: date
    currency: str
    total: str


class InvoicesListed(BaseModel):
    """Issued invoices, in the order they were issued."""

    items: list[InvoiceOut]


class NotBilledOut(BaseModel):
    """An account without an invoice for the month, and why."""

    account_number: str
    companies: list[str]
    code: str
    reason: str
    hours: str
    seconds: int


class AstrayOut(BaseModel):
    """Work of the month that is nobody's: no_ticket, deleted_ticket, no_company or no_account_number."""

    why: str
    tickets: int
    entries: int
    hours: str
    seconds: int


class DraftOut(BaseModel):
    """A draft, in short."""

    account_number: str
    number: str
    customer: str
    currency: str | None
    total: str
    corrections: int
    warnings: list[WarningOut]


class Undated(BaseModel):
    """Time entries that no month has."""

    entries: int
    hours: str
    seconds: int


class MonthOut(BaseModel):
    """Every account's month at a glance."""

    model_config = example(
        month="2025-01",
        issued=[],
        drafts=[],
        not_billed=[],
        astray=[],
        undated={"entries": 0, "hours": "0.00", "seconds": 0},
    )

    month: str
    issued: list[InvoiceOut]
    drafts: list[DraftOut]
    not_billed: list[NotBilledOut]
    astray: list[AstrayOut] = Field(description="Work that belongs to no account, and is on no invoice.")
    undated: Undated = Field(
        description="Time entries without any date, or, where hours are billed by close, on tickets that are open."
    )


class MonthIssued(BaseModel):
    """What a run over all accounts did. Invoices that were issued before are not in it."""

    model_config = example(issued=[], not_issued=[])

    issued: list[InvoiceOut]
    not_issued: list[NotBilledOut]


# ------------------------------------------------------------------------------------------------------ filling them


def statement_out(statement: Statement, reason: str | None) -> StatementOut:
    """A draft as callers see it; issued, it is kept like this."""
    sums = Divided(**{name: sum(getattr(t, name) for t in statement.tickets) for name in Divided.model_fields})
    return StatementOut(
        account_number=statement.account_number,
        month=named(statement.month),
        number=statement.number,
        state="draft",
        reason=reason,
        customer=statement.customer,
        currency=statement.terms.currency if statement.terms else None,
        rate=written(statement.terms.rate) if statement.terms else None,
        invoice_date=statement.invoice_date,
        due_date=statement.due_date,
        issued_at=None,
        issued_by=None,
        total=f"{statement.total:f}",
        lines=[line_out(line) for line in statement.lines],
        hours=_hours(sums),
        seconds=sums,
        prepaid=Prepaid(monthly=_allowance(statement.monthly), yearly=_allowance(statement.yearly)),
        tickets=[_ticket(ticket) for ticket in statement.tickets],
        warnings=[WarningOut.model_validate(warned, from_attributes=True) for warned in statement.warnings],
        not_invoiced=[
            NotInvoiced(month=named(month), billable_hours=shown_hours(seconds))
            for month, seconds in statement.not_invoiced
        ],
        pending_corrections=[],
    )


def line_out(line: Line) -> LineOut:
    """A line with the ticket behind it."""
    hours = shown_hours(line.seconds)
    behind = TicketBehind(
        source=line.ticket[0],
        id=line.ticket[1],
        subject=line.subject,
        hours=hours,
        seconds=line.seconds,
        default=line.default,
    )
    return LineOut(
        kind=line.kind,
        month=named(line.month),
        description=line.description,
        item=line.item,
        hours=hours,
        seconds=line.seconds,
        rate=written(line.rate),
        amount=f"{line.amount:f}",
        tickets=[behind],
    )


def invoice_out(invoice: Invoice) -> InvoiceOut:
    """An issued invoice, in short."""
    values: Mapping[str, Any] = {name: getattr(invoice, name) for name in InvoiceOut.model_fields}
    return InvoiceOut(**{**values, "month": named(invoice.month), "total": f"{invoice.total:f}"})


def draft_out(draft: Draft) -> DraftOut:
    """A draft, in short."""
    statement = draft.statement
    return DraftOut(
        account_number=statement.account_number,
        number=statement.number,
        customer=statement.customer,
        currency=statement.terms.currency if statement.terms else None,
        total=f"{statement.total:f}",
        corrections=len(statement.corrections),
        warnings=[WarningOut.model_validate(warned, from_attributes=True) for warned in statement.warnings],
    )


def not_billed_out(each: NotBilled) -> NotBilledOut:
    """An account that is left out."""
    return NotBilledOut(
        account_number=each.account_number,
        companies=list(each.companies),
        code=each.code,
        reason=each.reason,
        hours=shown_hours(each.seconds),
        seconds=each.seconds,
    )


def astray_out(each: Astray) -> AstrayOut:
    """Work that is nobody's."""
    hours = shown_hours(each.seconds)
    return AstrayOut(why=each.why, tickets=each.tickets, entries=each.entries, hours=hours, seconds=each.seconds)


def _hours(seconds: Divided) -> DividedHours:
    return DividedHours(**{name: shown_hours(value) for name, value in seconds})


def _ticket(ticket: TicketHours) -> TicketOut:
    seconds = Divided(**{name: getattr(ticket, name) for name in Divided.model_fields})
    source, number = ticket.ticket
    return TicketOut(
        source=source,
        id=number,
        subject=ticket.subject,
        default=ticket.default,
        hours=_hours(seconds),
        seconds=seconds,
    )


def _allowance(allowance: Allowance | None) -> AllowanceOut | None:
    if allowance is None:
        return None
    return AllowanceOut(
        begins=allowance.begins,
        granted=shown_hours(allowance.granted),
        used_before=shown_hours(allowance.before),
        used=shown_hours(allowance.used),
        left=shown_hours(allowance.left),
    )
