"""Billing over HTTP: terms, issuing, refusals and roles."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from tests.api.conftest import Roles
from tests.billing.conftest import Office, Opens, entry
from tests.billing.test_allocation import floats_in

from deskloom.record.tables import billing_terms, invoices

HOUR = 3600
TERMS = {
    "account_number": "10042",
    "valid_from": "2025-01-01",
    "valid_to": None,
    "rate": "0.30",
    "currency": "EUR",
    "prepaid_monthly_hours": "0.10",
    "prepaid_yearly_hours": "0.20",
    "year_start": None,
    "increment_minutes": 0,
    "increment_per": "entry",
    "payment_days": 30,
    "item": "Support",
    "customer_name": None,
    "receivable_account": "Accounts Receivable",
    "income_account": "Services",
    "list_unbilled": True,
}


async def mill(office: Office, *, seconds: int = HOUR) -> None:
    """A company with an hour's work in January."""
    await office.company(10, "Mill & Sons", "10042")
    await office.ticket(1, 10)
    await office.sheet(1, entry(11, 1, "2025-01-05", seconds))


async def test_terms_are_kept_digit_for_digit(office: Office) -> None:
    """Terms can be added, listed, replaced and removed; decimals come back as they were given, and are no floats in
    answers or in the database."""
    await mill(office)
    given = {"prepaid_monthly_hours": "0.1", "prepaid_yearly_hours": "0.2", "currency": "EUR"}
    made = await office.terms("10042", "2025-01-01", "0.3", **given)
    listed = await office.get("/10042/terms")
    assert listed == {"items": [{"id": made, **TERMS}]}
    async with office.record.reading() as tx:
        row = (await tx.execute(select(billing_terms))).mappings().one()
        sums = (row["prepaid_monthly_hours"] + row["prepaid_yearly_hours"], row["rate"])
        plain = (await tx.execute(text("SELECT prepaid_monthly_hours FROM billing_terms"))).scalar_one()
    assert (sums, str(plain)) == ((Decimal("0.3"), Decimal("0.3")), "0.1")
    path = f"/api/billing/10042/terms/{made}"
    changed = {name: value for name, value in TERMS.items() if name != "account_number"} | {"rate": "120.5"}
    replaced = (await office.client.put(path, json=changed)).json()
    assert replaced == {"id": made, **TERMS, "rate": "120.50"}
    answer = await office.get("/10042", month="2025-01")
    assert floats_in(answer) == []
    assert [(await office.client.delete(path)).status_code for _ in range(2)] == [204, 404]
    assert await office.get("/10042/terms") == {"items": []}


WRONG = (
    ({"rate": 0.1}, "rate must be a decimal written as text"),
    ({"rate": "1e3"}, "rate must be a decimal written as text"),
    ({"rate": "-1"}, "rate must be a decimal written as text"),
    ({"rate": "NaN"}, "rate must be a decimal written as text"),
    ({"rate": True}, "rate must be a decimal written as text"),
    ({"prepaid_monthly_hours": "0.0001"}, "prepaid_monthly_hours must be a whole number of seconds"),
    ({"valid_to": "2024-12-31"}, "valid_to is the last day, and must not be before valid_from"),
    ({"currency": "usd"}, "currency"),
    ({"increment_minutes": -1}, "increment_minutes must be at least 0"),
    ({"discount": "1"}, "discount is not known here"),
)


async def test_wrong_terms_are_refused(office: Office) -> None:
    """Terms that cannot be meant are refused with the name of what is wrong; nothing is stored."""
    await mill(office)
    for change, detail in WRONG:
        problem = await office.refused(
            "POST", "/10042/terms", body={"valid_from": "2025-01-01", "rate": "100", **change}
        )
        assert (problem["status"], problem["detail"][: len(detail)]) == (422, detail)
    assert await office.get("/10042/terms") == {"items": []}


async def test_terms_may_not_contradict_each_other_or_an_invoice(office: Office) -> None:
    """Overlapping terms, a second currency, and a change of what an invoiced month costs are refused; an end after it,
    and how later invoices look, can be changed."""
    await mill(office)
    first = await office.terms("10042", "2025-01-01", "100.00")
    overlap = await office.refused("POST", "/10042/terms", body={"valid_from": "2025-06-01", "rate": "120"})
    assert (overlap["status"], overlap["code"], overlap["terms_id"]) == (409, "conflict", first)
    body = {"valid_from": "2024-01-01", "valid_to": "2024-12-31", "rate": "90", "currency": "EUR"}
    other = await office.refused("POST", "/10042/terms", body=body)
    assert other["detail"].startswith("All terms of account 10042 must be in one currency")
    await office.issue("10042", "2025-01")
    standing = {"valid_from": "2025-01-01", "rate": "100.00"}
    path = f"/10042/terms/{first}"
    for change in ({"rate": "100.01"}, {"valid_to": "2025-01-30"}, {"prepaid_yearly_hours": "1"}):
        problem = await office.refused("PUT", path, body=standing | change)
        assert (problem["status"], problem["invoiced_to"]) == (409, "2025-01-31")
    assert (await office.refused("DELETE", path))["status"] == 409
    allowed = standing | {"valid_to": "2025-01-31", "item": "Consulting", "rate": "100"}
    assert (await office.client.put(f"/api/billing{path}", json=allowed)).status_code == 200
    await office.terms("10042", "2025-02-01", "120.00")
    assert [each["rate"] for each in (await office.get("/10042/terms"))["items"]] == ["100.00", "120.00"]


async def test_what_cannot_be_billed_is_refused(office: Office) -> None:
    """An unknown account, a month that is none, has not ended, or has nothing, and warnings that nobody accepted: each
    has its sentence and its status, and nothing is issued."""
    await mill(office, seconds=25 * HOUR)
    assert (await office.refused("GET", "/4711", month="2025-01"))["status"] == 404
    assert (await office.refused("POST", "/4711/terms", body={"valid_from": "2025-01-01", "rate": "1"}))[
        "status"
    ] == 404
    bad = await office.refused("GET", "/10042", month="2025-13")
    assert (bad["status"], bad["detail"]) == (422, 'month "2025-13" is not a month. Write it like 2025-01.')
    assert (await office.refused("GET", "/10042"))["detail"] == "month is missing."
    assert (await office.refused("POST", "/10042/invoices", body={"month": 202501}))["status"] == 422
    statement = await office.get("/10042", month="2025-01")
    assert (statement["reason"], statement["lines"], statement["hours"]["without_terms"]) == (
        "No terms hold for the work of 2025-01. Add some, for example: deskloom billing terms add 10042 "
        "--from 2025-01-01 --rate 100.00",
        [],
        "25.00",
    )
    for path in ("/10042/invoice.csv", "/10042/invoice.iif"):
        problem = await office.refused("GET", path, month="2025-01")
        assert (problem["status"], problem["reason"]) == (409, "no_terms")
    await office.terms("10042", "2025-01-01", "100.00")
    cases = {
        "2025-02": "2025-02 has not ended yet (UTC). Issue its invoice from 2025-03-01 on.",
        "2024-12": "Account 10042, 2024-12: There is no work in the month, and nothing to correct.",
        "2025-01": "Time entry 11 of freshdesk ticket 1 lasts 25.00 h, more than a day. Correct it at the helpdesk, or "
        "issue with accept_warnings (--accept-warnings).",
    }
    for month, detail in cases.items():
        problem = await office.refused("POST", "/10042/invoices", body={"month": month})
        assert (problem["status"], problem["code"], problem["detail"]) == (409, "conflict", detail)
    assert await office.get("/10042/invoices") == {"items": []}
    issued = await office.issue("10042", "2025-01", accept_warnings=True, invoice_date="2025-02-10")
    assert (issued["total"], issued["invoice_date"], issued["due_date"]) == ("2500.00", "2025-02-10", "2025-03-12")


async def test_an_invoice_is_issued_once(office: Office) -> None:
    """Of many who issue at the same time one makes the invoice, and all get the same; of two months at once only one
    has the corrections."""
    await mill(office)
    await office.terms("10042", "2025-01-01", "100.00")
    asked = [office.client.post("/api/billing/10042/invoices", json={"month": "2025-01"}) for _ in range(6)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({json.dumps(answer.json()) for answer in answers}) == 1
    await office.sheet(
        1, entry(11, 1, "2025-01-05", 2 * HOUR), entry(12, 1, "2025-02-05", HOUR), entry(13, 1, "2025-03-05", HOUR)
    )
    office.clock.advance(timedelta(days=90))
    months = [
        office.client.post("/api/billing/10042/invoices", json={"month": each}) for each in ("2025-02", "2025-03")
    ]
    totals = [Decimal(answer.json()["total"]) for answer in await asyncio.gather(*months)]
    assert (sum(totals), sorted(totals)) == (300, [100, 200])
    async with office.record.reading() as tx:
        query = select(invoices.c.position, invoices.c.issued_by).order_by(invoices.c.position)
        assert [tuple(row) for row in await tx.execute(query)] == [(1, "local"), (2, "local"), (3, "local")]


async def test_issuing_for_all_companies(office: Office) -> None:
    """A run over all companies issues what can be, tells of each that cannot why, and repeating it adds nothing."""
    await mill(office)
    await office.company(20, "Oak", "2001")
    await office.ticket(2, 20)
    await office.sheet(2, entry(21, 2, "2025-01-05", 30 * HOUR, agent=8))
    await office.terms("10042", "2025-01-01", "100.00")
    await office.terms("2001", "2025-01-01", "100.00")
    answer = await office.client.post("/api/billing/invoices", json={"month": "2025-01"})
    assert [each["number"] for each in answer.json()["issued"]] == ["10042-202501"]
    assert [(each["account_number"], each["code"], each["hours"]) for each in answer.json()["not_issued"]] == [
        ("2001", "conflict", "30.00")
    ]
    again = await office.client.post("/api/billing/invoices", json={"month": "2025-01", "accept_warnings": True})
    assert [each["number"] for each in again.json()["issued"]] == ["2001-202501"]
    third = (await office.client.post("/api/billing/invoices", json={"month": "2025-01"})).json()
    assert third == {"issued": [], "not_issued": []}
    month = await office.get("", month="2025-01")
    assert [each["number"] for each in month["issued"]] == ["10042-202501", "2001-202501"]


async def test_a_month_that_was_never_invoiced_is_told(office: Office) -> None:
    """A statement names the earlier months of its contract year whose billable hours stand on no invoice."""
    await mill(office)
    await office.terms("10042", "2025-01-01", "100.00", prepaid_yearly_hours="0.5")
    await office.sheet(1, entry(11, 1, "2025-01-05", HOUR), entry(12, 1, "2025-02-01", HOUR))
    february = await office.get("/10042", month="2025-02")
    assert (february["not_invoiced"], february["total"]) == ([{"month": "2025-01", "billable_hours": "0.50"}], "100.00")


async def test_other_settings_do_not_change_what_was_invoiced(office: Office) -> None:
    """Another default is for tickets to come; another way of counting months is warned of before it corrects
    anything."""
    await office.company(10, "Mill & Sons", "10042")
    await office.terms("10042", "2025-01-01", "100.00")
    await office.ticket(1, 10, closed="2025-01-10")
    await office.ticket(2, 10, closed="2025-02-10")
    await office.issue("10042", "2025-01")
    settings = office.app.settings
    office.app.settings = settings.model_copy(update={"default_hours": Decimal("0.5")})
    february = await office.get("/10042", month="2025-02")
    assert [(line["kind"], line["hours"]) for line in february["lines"]] == [("billable", "0.50")]
    office.app.settings = settings.model_copy(update={"billing_by": "close"})
    assert [each["code"] for each in (await office.get("/10042", month="2025-02"))["warnings"]] == ["rules_changed"]


async def test_roles(opens: Opens) -> None:
    """Reading needs the role agent, since hours are internal; terms and invoices are written by operators."""
    async with opens(Roles()) as office:
        await mill(office)
        body = {"valid_from": "2025-01-01", "rate": "100"}

        async def status(role: str, method: str, path: str, body: Any = None) -> int:
            headers = {"Authorization": f"Bearer {role}"}
            return (await office.client.request(method, f"/api/billing{path}", json=body, headers=headers)).status_code

        reading = (
            "?month=2025-01",
            "/10042?month=2025-01",
            "/10042/terms",
            "/10042/invoices",
            "/invoices.zip?month=2025-01",
        )
        for path in reading:
            assert [await status(role, "GET", path) for role in ("viewer", "agent")] == [403, 200]
        writing = [("POST", "/10042/terms", body), ("POST", "/10042/invoices", {"month": "2025-01"})]
        for method, path, given in writing:
            assert [await status(role, method, path, given) for role in ("agent", "operator")] == [403, 201]
