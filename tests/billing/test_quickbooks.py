"""Invoices as files: what QuickBooks reads, the same bytes each time, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.made import piles, some_terms, some_work, terms_lists

from deskloom.billing import Ledger, Rules, Statement, Terms, Work, state
from deskloom.exports.invoices import file_name
from deskloom.exports.quickbooks import CSV_COLUMNS, cell, csv_of, document_number, field, iif_of, to_csv, to_iif

RULES = Rules(by="work", timezone="UTC", default_seconds=900)
JANUARY = date(2025, 1, 1)


def stated(
    work: list[Work],
    terms: list[Terms],
    *,
    company: str | None = "Mill & Sons",
    account: str = "10042",
    **subjects: str,
) -> Statement:
    known = {("desk", int(number.removeprefix("t"))): subject for number, subject in subjects.items()}
    return state(
        account, JANUARY, company=company, terms=terms, work=work, ledger=Ledger(), subjects=known, rules=RULES
    )


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


@given(
    piles(first=date(2024, 12, 1), last=date(2025, 1, 31)), terms_lists(), st.text(max_size=20), st.text(max_size=20)
)
def test_csv_says_what_the_statement_says(work: list[Work], terms: list[Terms], company: str, subject: str) -> None:
    """A CSV file has exactly the columns of the contract, a row for each line, amounts that are quantity times rate and
    add up to the total, and no cell of text that a spreadsheet would run."""
    statement = stated(work, terms, company=company, t1=subject)
    header, *lines = rows(to_csv(statement))
    assert tuple(header) == CSV_COLUMNS
    assert [tuple(map(Decimal, line[6:])) for line in lines] == [
        (Decimal(line[6]), line_.rate, line_.amount) for line, line_ in zip(lines, statement.lines, strict=True)
    ]
    assert sum((Decimal(line[8]) for line in lines), Decimal(0)) == statement.total
    for line in lines:
        product = (Decimal(line[6]) * Decimal(line[7])).copy_abs()
        assert product.quantize(Decimal("0.01"), "ROUND_HALF_UP") == Decimal(line[8]).copy_abs()
        assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for text in line[:6])
        assert all("\n" not in text and "\t" not in text for text in line)
    assert to_csv(statement) == to_csv(statement)


@given(
    piles(first=date(2024, 12, 1), last=date(2025, 1, 31)), terms_lists(), st.text(max_size=20), st.text(max_size=20)
)
def test_iif_balances(work: list[Work], terms: list[Terms], company: str, subject: str) -> None:
    """Every transaction of an IIF file has the columns of its header and adds up to 0; the file is in Windows-1252."""
    statement = stated(work, terms, company=company, t1=subject)
    found = [line.split("\t") for line in to_iif(statement).decode("cp1252").split("\r\n")]
    assert found.pop() == [""]
    assert [line[0] for line in found[:3]] == ["!TRNS", "!SPL", "!ENDTRNS"]
    widths = {line[0].removeprefix("!"): len(line) for line in found[:3]}
    body = found[3:]
    assert all(len(line) == widths[line[0]] for line in body)
    expected = ["TRNS", *["SPL"] * len(statement.lines), "ENDTRNS"] if statement.lines else []
    assert [line[0] for line in body] == expected
    assert sum((Decimal(line[6]) for line in body if line[0] != "ENDTRNS"), Decimal(0)) == 0
    assert all('"' not in text for line in found for text in line)


def test_formulas_are_text() -> None:
    """A subject, a customer or an account number that begins like a formula is written with an apostrophe before it;
    negative amounts stay numbers."""
    terms = [some_terms(customer_name="@SUM(A1)", item="+1")]
    (header, row) = rows(to_csv(stated([some_work(1, "2025-01-02", 3600)], terms, account="=10")))
    assert dict(zip(header, row, strict=True)) == {
        "InvoiceNo": "'=10-202501",
        "Customer": "'@SUM(A1)",
        "InvoiceDate": "2025-01-31",
        "DueDate": "2025-03-02",
        "Item(Product/Service)": "'+1",
        "Description": "2025-01, ticket 1",
        "Qty": "1.00",
        "Rate": "100.00",
        "Amount": "100.00",
    }
    assert [cell(text) for text in ("-5", " =1", "\t=1", "a\r\nb\tc", "fine")] == ["'-5", "'=1", "'=1", "a b c", "fine"]


def test_iif_fields_are_what_windows_reads() -> None:
    """Tabs, line breaks and double quotes are taken out of a field; letters beyond the code page lose their marks."""
    texts = ("Müller\tGmbH", 'the "big"\r\none', "Žižka €", "Łódź ő", "日本", "e\u0301tage")
    assert [field(text) for text in texts] == ["Müller GmbH", "the 'big' one", "Žižka €", "?ódz o", "??", "étage"]


@pytest.mark.parametrize(
    ("account", "number"),
    [
        ("1", "1-202501"),
        ("2001", "2001-202501"),
        ("10042", "10042-2501"),
        ("100042", "100042-2501"),
        ("1000042", "10000422501"),
        ("MILL-1000042", "10000422501"),
    ],
)
def test_document_numbers_fit(account: str, number: str) -> None:
    """QuickBooks Desktop keeps eleven characters of a number; the month is always among them."""
    assert document_number(stated([], [some_terms()], account=account)) == number


def test_several_invoices_in_one_file() -> None:
    """Invoices can be put into one file, with one header."""
    one = stated([some_work(1, "2025-01-02", 3600)], [some_terms()])
    two = stated([some_work(2, "2025-01-02", 3600)], [some_terms()], account="2001")
    header = len(b",".join(name.encode() for name in CSV_COLUMNS)) + 2
    assert csv_of([one, two]) == to_csv(one) + to_csv(two)[header:]
    empty = iif_of([])
    assert iif_of([one, two]) == to_iif(one) + to_iif(two)[len(empty) :]
    assert iif_of([replace(one, lines=())]) == empty


def test_file_names_are_safe() -> None:
    """An account number becomes part of a file name without leaving its folder."""
    names = [file_name(account, JANUARY, "csv") for account in ("10042", "../../etc/x", "", "a b/ü", "..")]
    assert names == ["10042-202501.csv", "_.._etc_x-202501.csv", "_-202501.csv", "a_b_-202501.csv", "_-202501.csv"]
