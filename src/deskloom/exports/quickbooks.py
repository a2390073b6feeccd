"""An invoice as QuickBooks takes it: CSV for QuickBooks Online, IIF for QuickBooks Desktop. The same bytes each time.

IIF as Intuit describes it ("IIF reference: transactions" in the help of QuickBooks 2008) and as its samples and other
exporters write it: tab-separated; three header rows, then for each invoice a `TRNS` row on the receivable account, a
`SPL` row for each line on its income account, and `ENDTRNS`. Debits are positive and credits negative, so that the
rows of a transaction add up to 0; the quantity of a line that sells is negative. Dates are MM/DD/YYYY.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

from deskloom.billing import Line, Statement
from deskloom.billing.amounts import shown_hours, written

CSV_COLUMNS = (
    "InvoiceNo",
    "Customer",
    "InvoiceDate",
    "DueDate",
    "Item(Product/Service)",
    "Description",
    "Qty",
    "Rate",
    "Amount",
)
_TRNS = [
    "TRNSID",
    "TRNSTYPE",
    "DATE",
    "ACCNT",
    "NAME",
    "AMOUNT",
    "DOCNUM",
    "MEMO",
    "CLEAR",
    "TOPRINT",
    "NAMEISTAXABLE",
    "DUEDATE",
]
_SPL = [
    "SPLID",
    "TRNSTYPE",
    "DATE",
    "ACCNT",
    "NAME",
    "AMOUNT",
    "DOCNUM",
    "MEMO",
    "CLEAR",
    "QNTY",
    "PRICE",
    "INVITEM",
    "TAXABLE",
]
ENCODING = "cp1252"
"""What QuickBooks Desktop, a Windows program, reads text files as."""
LONGEST_NUMBER = 11
"""Characters of a document number in QuickBooks Desktop."""
_FORMULA = re.compile(r"^[=+\-@\t\r]")
_GAPS = re.compile(r"[\s\x00-\x1f\x7f]+")


def to_csv(statement: Statement) -> bytes:
    """The invoice as CSV: UTF-8, a row for each line, lines end with CR LF (RFC 4180), dates as 2025-01-31."""
    return csv_of([statement])


def csv_of(statements: Iterable[Statement]) -> bytes:
    """Several invoices as one CSV file."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(CSV_COLUMNS)
    for statement in statements:
        for line in statement.lines:
            rows.writerow(
                (
                    cell(statement.number),
                    cell(statement.customer),
                    statement.invoice_date.isoformat(),
                    statement.due_date.isoformat(),
                    cell(line.item),
                    cell(line.description),
                    shown_hours(line.seconds),
                    written(line.rate),
                    f"{line.amount:f}",
                )
            )
    return text.getvalue().encode()


def cell(text: str) -> str:
    """Text for a cell: on one line, and with an apostrophe before what a spreadsheet would take for a formula."""
    flat = _GAPS.sub(" ", text).strip()
    return f"'{flat}" if _FORMULA.match(flat) else flat


def to_iif(statement: Statement) -> bytes:
    """The invoice as IIF. One whose corrections take away more than is billed is a credit memo."""
    return iif_of([statement])


def iif_of(statements: Iterable[Statement]) -> bytes:
    """Several invoices as one IIF file; those without a line are left out."""
    rows = [["!TRNS", *_TRNS], ["!SPL", *_SPL], ["!ENDTRNS"]]
    for statement in statements:
        if statement.terms is not None and statement.lines:
            rows += _transaction(statement, statement.terms.receivable_account)
    return "".join("\t".join(row) + "\r\n" for row in rows).encode(ENCODING)


def _transaction(statement: Statement, receivable: str) -> Iterable[list[str]]:
    kind = "INVOICE" if statement.total >= 0 else "CREDIT MEMO"
    dated, due = f"{statement.invoice_date:%m/%d/%Y}", f"{statement.due_date:%m/%d/%Y}"
    number, customer = document_number(statement), field(statement.customer)
    common = ["", kind, dated]
    yield [
        "TRNS",
        *common,
        field(receivable),
        customer,
        _money(statement.total),
        number,
        field(statement.number),
        "N",
        "Y",
        "N",
        due,
    ]
    for line in statement.lines:
        yield ["SPL", *common, *_split(line)]
    yield ["ENDTRNS"]


def _split(line: Line) -> list[str]:
    return [
        field(line.income_account),
        "",
        _money(-line.amount),
        "",
        field(line.description),
        "N",
        shown_hours(-line.seconds),
        written(line.rate),
        field(line.item),
        "N",
    ]


def document_number(statement: Statement) -> str:
    """The invoice number as QuickBooks Desktop can keep it: with a short year, or without the dash, if need be.

    A longer one would be cut, and the invoices of a year would look the same; the memo always has it whole.
    """
    account, month = statement.account_number, statement.month
    wanted = (statement.number, f"{account}-{month:%y%m}", f"{account}{month:%y%m}")
    return field(next((number for number in wanted if len(number) <= LONGEST_NUMBER), f"{account[-7:]}{month:%y%m}"))


def field(text: str) -> str:
    """Text for an IIF field: no tab, line break or double quote, which have a meaning there, and only what Windows'
    western code page has; other letters lose their marks, or become `?`."""
    flat = _GAPS.sub(" ", text).strip().replace('"', "'")
    return "".join(_windows(character) for character in unicodedata.normalize("NFC", flat))


def _windows(character: str) -> str:
    try:
        character.encode(ENCODING)
        return character
    except UnicodeEncodeError:
        plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        return plain or "?"


def _money(amount: Decimal) -> str:
    return f"{amount + 0:f}"  # never "-0.00"
