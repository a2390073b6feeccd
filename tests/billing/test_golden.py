"""A golden month of invoices, and the month after it with its corrections, computed by hand.

Every figure below is written out; nothing is computed by the code under test. Hours of 60 minutes, amounts rounded
half up to cents, quantities to five decimals.

Mill & Sons, account 10042: 100.00 an hour to 15 January 2025, 120.00 from 16 January; 2 h a month are prepaid, and
10 h a contract year, which began on 1 July 2024.

  November 2024 (never invoiced; all of it prepaid)
    ticket 100   9:00   month 2:00, year 7:00                        year: 10:00 - 7:00 = 3:00 left
  January 2025
    ticket 1, 3 Jan    1:30   month 1:30                             month: 0:30 left
    ticket 2, 7 Jan    2:00   month 0:30, year 1:30                  year: 3:00 - 1:30 = 1:30 left
    ticket 1, 10 Jan   2:00   year 1:30, billable 0:30 x 100.00    =  50.00
    ticket 3, 20 Jan   0:20   billable 0.33333 x 120.00 = 39.9996  =  40.00
    ticket 3, 21 Jan   1:00   marked not billable
    ticket 4, closed 22 Jan, no entries: 0:15 x 120.00             =  30.00
                                                             total   120.00

Oak, account 2001: 85.50 an hour, nothing prepaid, billed in steps of 15 minutes for each ticket.
    ticket 10, 2 Jan   0:10
    ticket 10, 30 Jan  0:25   0:35 -> 0:45, 0.75 x 85.50 = 64.125  =  64.13

Pine, account 3001, has no terms: 1:00 is billed to nobody. Two companies have the account number 4001: 2:00.
A ticket without a company: 0:30.

Before February is invoiced, January changes:
    ticket 2 gets a late entry, 8 Jan 1:00. It takes an hour of the year that ticket 1 had used on 10 January, which
      is then billable at 100.00: +1.00 x 100.00                   = 100.00
    ticket 3's entry of 20 Jan is deleted: -0.33333 x 120.00       = -40.00
    ticket 4 gets an entry, 22 Jan 0:30: 0:30 - 0:15, 0.25 x 120.00 = 30.00
    ticket 10 moves from Oak to Mill & Sons. The 0:10 of 2 January take prepaid time that others had, which becomes
      billable at 100.00: 0.16667 x 100.00 = 16.667                =  16.67
      the 0:25 of 30 January are billable at 120.00: 0.41667 x 120.00 = 50.0004 = 50.00
      and Oak gets back 0.75 x 85.50                               = -64.13
  February 2025
    ticket 5, 4 Feb    3:00   month 2:00, year 0:00 (used up), billable 1:00 x 120.00 = 120.00
                                     total 120.00 + 100.00 - 40.00 + 30.00 + 16.67 + 50.00 = 276.67
"""

# ruff: noqa: E501 - files are compared byte for byte, row by row
from __future__ import annotations

import io
import zipfile
from datetime import timedelta

from tests.billing.conftest import Office, entry

JANUARY = (
    b"InvoiceNo,Customer,InvoiceDate,DueDate,Item(Product/Service),Description,Qty,Rate,Amount\r\n"
    b'10042-202501,Mill & Sons,2025-01-31,2025-03-02,Support,"2025-01, ticket 1: Subject 1",0.50,100.00,50.00\r\n'
    b'10042-202501,Mill & Sons,2025-01-31,2025-03-02,Support,"2025-01, ticket 1: Subject 1 (prepaid hours)",3.00,0.00,0.00\r\n'
    b'10042-202501,Mill & Sons,2025-01-31,2025-03-02,Support,"2025-01, ticket 2: Subject 2 (prepaid hours)",2.00,0.00,0.00\r\n'
    b'10042-202501,Mill & Sons,2025-01-31,2025-03-02,Support,"2025-01, ticket 3: Subject 3",0.33333,120.00,40.00\r\n'
    b'10042-202501,Mill & Sons,2025-01-31,2025-03-02,Support,"2025-01, ticket 3: Subject 3 (not billed)",1.00,0.00,0.00\r\n'
    b'10042-202501,Mill & Sons,2025-01-31,2025-03-02,Support,"2025-01, ticket 4: Subject 4 (no time was logged)",0.25,120.00,30.00\r\n'
)
FEBRUARY = (
    b"InvoiceNo,Customer,InvoiceDate,DueDate,Item(Product/Service),Description,Qty,Rate,Amount\r\n"
    b'10042-202502,Mill & Sons,2025-02-28,2025-03-30,Support,"2025-02, ticket 5: Subject 5",1.00,120.00,120.00\r\n'
    b'10042-202502,Mill & Sons,2025-02-28,2025-03-30,Support,"2025-02, ticket 5: Subject 5 (prepaid hours)",2.00,0.00,0.00\r\n'
    b'10042-202502,Mill & Sons,2025-02-28,2025-03-30,Support,"Correction of 2025-01, ticket 2: Subject 2",1.00,100.00,100.00\r\n'
    b'10042-202502,Mill & Sons,2025-02-28,2025-03-30,Support,"Correction of 2025-01, ticket 3: Subject 3",-0.33333,120.00,-40.00\r\n'
    b'10042-202502,Mill & Sons,2025-02-28,2025-03-30,Support,"Correction of 2025-01, ticket 4: Subject 4",0.25,120.00,30.00\r\n'
    b'10042-202502,Mill & Sons,2025-02-28,2025-03-30,Support,"Correction of 2025-01, ticket 10: Subject 10",0.16667,100.00,16.67\r\n'
    b'10042-202502,Mill & Sons,2025-02-28,2025-03-30,Support,"Correction of 2025-01, ticket 10: Subject 10",0.41667,120.00,50.00\r\n'
)
OAK = (
    b"!TRNS\tTRNSID\tTRNSTYPE\tDATE\tACCNT\tNAME\tAMOUNT\tDOCNUM\tMEMO\tCLEAR\tTOPRINT\tNAMEISTAXABLE\tDUEDATE\r\n"
    b"!SPL\tSPLID\tTRNSTYPE\tDATE\tACCNT\tNAME\tAMOUNT\tDOCNUM\tMEMO\tCLEAR\tQNTY\tPRICE\tINVITEM\tTAXABLE\r\n"
    b"!ENDTRNS\r\n"
    b"TRNS\t\tINVOICE\t01/31/2025\tAccounts Receivable\tOak\t64.13\t2001-202501\t2001-202501\tN\tY\tN\t02/14/2025\r\n"
    b"SPL\t\tINVOICE\t01/31/2025\tServices\t\t-64.13\t\t2025-01, ticket 10: Subject 10\tN\t-0.75\t85.50\tSupport\tN\r\n"
    b"ENDTRNS\r\n"
)
OAK_CREDIT = OAK[: OAK.index(b"TRNS\t\t")] + (
    b"TRNS\t\tCREDIT MEMO\t02/28/2025\tAccounts Receivable\tOak\t-64.13\t2001-202502\t2001-202502\tN\tY\tN\t03/14/2025\r\n"
    b"SPL\t\tCREDIT MEMO\t02/28/2025\tServices\t\t64.13\t\tCorrection of 2025-01, ticket 10: Subject 10\tN\t0.75\t85.50"
    b"\tSupport\tN\r\n"
    b"ENDTRNS\r\n"
)
NOT_BILLED = (
    b"AccountNumber,Companies,Hours,Code,Reason\r\n"
    b'3001,Pine,1.00,no_terms,"No terms hold for the work of 2025-01. Add some, for example: deskloom billing terms add '
    b'3001 --from 2025-01-01 --rate 100.00"\r\n'
    b'4001,Elm North; Elm South,2.00,ambiguous,"2 companies of freshdesk have the account number 4001: ""Elm North"" '
    b'(41) and ""Elm South"" (42). Give each its own there, and sync."\r\n'
)
MINUTE, HOUR = 60, 3600


async def january(office: Office) -> None:
    """The accounts, their terms, and the work as it is known in the beginning of February."""
    for number, name, account in (
        (10, "Mill & Sons", "10042"),
        (20, "Oak", "2001"),
        (30, "Pine", "3001"),
        (41, "Elm North", "4001"),
        (42, "Elm South", "4001"),
        (50, "Ash", None),
    ):
        await office.company(number, name, account)
    mill = {"prepaid_monthly_hours": "2", "prepaid_yearly_hours": "10", "year_start": "2024-07-01"}
    await office.terms("10042", "2024-07-01", "100.00", valid_to="2025-01-15", **mill)
    await office.terms("10042", "2025-01-16", "120.00", **mill)
    await office.terms("2001", "2025-01-01", "85.50", payment_days=14, increment_minutes=15, increment_per="ticket")
    for number in (100, 1, 2, 3, 5):
        await office.ticket(number, 10)
    await office.ticket(4, 10, closed="2025-01-22")
    await office.ticket(10, 20)
    await office.ticket(30, 30)
    await office.ticket(41, 41)
    await office.ticket(42, 42)
    await office.ticket(60, None)
    await office.sheet(100, entry(1000, 100, "2024-11-12", 9 * HOUR))
    await office.sheet(1, entry(11, 1, "2025-01-03", 90 * MINUTE), entry(13, 1, "2025-01-10", 2 * HOUR))
    await office.sheet(2, entry(12, 2, "2025-01-07", 2 * HOUR))
    await office.sheet(3, entry(14, 3, "2025-01-20", 20 * MINUTE), entry(15, 3, "2025-01-21", HOUR, billable=False))
    await office.sheet(10, entry(101, 10, "2025-01-02", 10 * MINUTE), entry(102, 10, "2025-01-30", 25 * MINUTE))
    await office.sheet(30, entry(301, 30, "2025-01-05", HOUR))
    await office.sheet(41, entry(411, 41, "2025-01-05", HOUR))
    await office.sheet(42, entry(421, 42, "2025-01-05", HOUR, agent=8))
    await office.sheet(60, entry(601, 60, "2025-01-05", 30 * MINUTE))


async def changes(office: Office) -> None:
    """What is logged, deleted and moved before February is invoiced."""
    await office.sheet(2, entry(12, 2, "2025-01-07", 2 * HOUR), entry(16, 2, "2025-01-08", HOUR))
    await office.sheet(3, entry(15, 3, "2025-01-21", HOUR, billable=False))
    await office.sheet(4, entry(18, 4, "2025-01-22", 30 * MINUTE))
    await office.ticket(10, 10)
    await office.sheet(5, entry(17, 5, "2025-02-04", 3 * HOUR))


async def test_the_golden_month(installed: Office) -> None:
    """The invoices of January, of February with the corrections of January, and the accounts without any, to the byte
    and to the cent; what was issued stays as it was."""
    office = installed
    await january(office)
    found = await office.get("/10042", month="2025-01")
    assert {name: found[name] for name in ("number", "state", "reason", "customer", "currency", "rate", "total")} == {
        "number": "10042-202501",
        "state": "draft",
        "reason": None,
        "customer": "Mill & Sons",
        "currency": "USD",
        "rate": "120.00",
        "total": "120.00",
    }
    assert found["seconds"] == {
        "worked": 7 * HOUR + 5 * MINUTE,
        "added": 0,
        "prepaid_monthly": 2 * HOUR,
        "prepaid_yearly": 3 * HOUR,
        "billable": 30 * MINUTE + 20 * MINUTE + 15 * MINUTE,
        "not_billable": HOUR,
        "without_terms": 0,
    }
    assert found["hours"] == {
        "worked": "7.08333",
        "added": "0.00",
        "prepaid_monthly": "2.00",
        "prepaid_yearly": "3.00",
        "billable": "1.08333",
        "not_billable": "1.00",
        "without_terms": "0.00",
    }
    assert found["prepaid"] == {
        "monthly": {"begins": "2025-01-01", "granted": "2.00", "used_before": "0.00", "used": "2.00", "left": "0.00"},
        "yearly": {"begins": "2024-07-01", "granted": "10.00", "used_before": "7.00", "used": "3.00", "left": "0.00"},
    }
    assert [(line["amount"], line["tickets"]) for line in found["lines"] if line["kind"] == "billable"] == [
        ("50.00", [behind(1, "0.50", 1800)]),
        ("40.00", [behind(3, "0.33333", 1200)]),
        ("30.00", [behind(4, "0.25", 900, default=True)]),
    ]
    assert (found["warnings"], found["not_invoiced"], found["pending_corrections"]) == ([], [], [])

    month = await office.get("", month="2025-01")
    assert [(each["number"], each["total"], each["corrections"]) for each in month["drafts"]] == [
        ("10042-202501", "120.00", 0),
        ("2001-202501", "64.13", 0),
    ]
    assert [(each["account_number"], each["code"], each["hours"]) for each in month["not_billed"]] == [
        ("3001", "no_terms", "1.00"),
        ("4001", "ambiguous", "2.00"),
    ]
    assert month["astray"] == [{"why": "no_company", "tickets": 1, "entries": 1, "hours": "0.50", "seconds": 1800}]

    drafted = await office.file("/invoices.zip", month="2025-01")
    issued = await office.issue("10042", "2025-01")
    assert (issued["state"], issued["total"], issued["lines"]) == ("issued", "120.00", found["lines"])
    assert await office.file("/10042/invoice.csv", month="2025-01") == JANUARY
    assert await office.file("/2001/invoice.iif", month="2025-01") == OAK
    await office.issue("2001", "2025-01")
    packed = await office.file("/invoices.zip", month="2025-01")
    assert packed == drafted
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert list(files) == [
        "10042-202501.csv",
        "10042-202501.iif",
        "2001-202501.csv",
        "2001-202501.iif",
        "not-billed.csv",
    ]
    assert (files["10042-202501.csv"], files["2001-202501.iif"], files["not-billed.csv"]) == (JANUARY, OAK, NOT_BILLED)

    await changes(office)
    office.clock.advance(timedelta(days=28))
    again = await office.client.post("/api/billing/10042/invoices", json={"month": "2025-01", "accept_warnings": True})
    assert (again.status_code, again.json()) == (200, issued)
    assert await office.file("/invoices.zip", month="2025-01") == packed
    now = await office.get("/10042", month="2025-01")
    assert [(line["description"], line["hours"], line["amount"]) for line in now["pending_corrections"]] == [
        ("Correction of 2025-01, ticket 2: Subject 2", "1.00", "100.00"),
        ("Correction of 2025-01, ticket 3: Subject 3", "-0.33333", "-40.00"),
        ("Correction of 2025-01, ticket 4: Subject 4", "0.25", "30.00"),
        ("Correction of 2025-01, ticket 10: Subject 10", "0.16667", "16.67"),
        ("Correction of 2025-01, ticket 10: Subject 10", "0.41667", "50.00"),
    ]
    assert now | {"pending_corrections": []} == issued

    second = await office.issue("10042", "2025-02")
    assert (second["total"], second["prepaid"]["yearly"]["left"]) == ("276.67", "0.00")
    assert await office.file("/10042/invoice.csv", month="2025-02") == FEBRUARY
    assert (await office.issue("2001", "2025-02"))["total"] == "-64.13"
    assert await office.file("/2001/invoice.iif", month="2025-02") == OAK_CREDIT
    assert [(each["number"], each["total"]) for each in (await office.get("/10042/invoices"))["items"]] == [
        ("10042-202501", "120.00"),
        ("10042-202502", "276.67"),
    ]
    third = await office.get("/10042", month="2025-03")
    assert (third["lines"], third["reason"]) == ([], "There is no work in the month, and nothing to correct.")
    assert await office.file("/invoices.zip", month="2025-01") == packed


def behind(number: int, hours: str, seconds: int, *, default: bool = False) -> dict[str, object]:
    """The ticket behind a line."""
    return {
        "source": "freshdesk",
        "id": number,
        "subject": f"Subject {number}",
        "hours": hours,
        "seconds": seconds,
        "default": default,
    }
