"""`deskloom billing` and `deskloom export invoices`, as people and scripts run them."""

from __future__ import annotations

import asyncio
import io
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.billing.conftest import Books, entry
from tests.cli.terminal import Terminal, line_with, wait

from deskloom.record import open_record

HOUR = 3600


async def fill(path: Path) -> None:
    """Two companies with work in January 2025, of which one has terms later, and the other never; one without work."""
    record = open_record(f"sqlite:///{path}")
    books = Books(record)
    try:
        await books.hours_read()
        await books.company(10, "Mill & Sons", "10042")
        await books.company(20, "Oak", "2001")
        await books.company(30, "Pine", "3001")
        await books.ticket(1, 10, subject="Printer offline")
        await books.ticket(2, 20)
        await books.sheet(1, entry(11, 1, "2025-01-05", 7 * HOUR))
        await books.sheet(2, entry(21, 2, "2025-01-05", HOUR, agent=8))
    finally:
        await record.aclose()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Commands beside a running server whose record holds the work."""
    folder = tmp_path / "here"
    folder.mkdir()
    made = Terminal(folder, {"DESKLOOM_HOME": str(tmp_path / "home")})
    server = made.start("serve", "--port", "0")
    line_with(server, "Deskloom serves")
    asyncio.run(fill(made.home / "deskloom.db"))
    try:
        yield made
    finally:
        wait(server, signal.SIGTERM)


@pytest.mark.slow
def test_a_month_from_terms_to_files(terminal: Terminal) -> None:
    """Terms are added and changed, the month shown and issued, and its files written, alike each time; what cannot be
    billed is named on standard error, with exit status 3."""
    missing = terminal.run("billing", "show", "10042", "--month", "2025-01")
    assert (missing.status, "No invoice: No terms hold for the work of 2025-01." in missing.out) == (0, True)
    added = terminal.run("billing", "terms", "add", "10042", "--from", "2025-01-01", "--rate", "100", "--monthly", "2")
    assert added.status == 0
    assert added.out.startswith(
        "10042: from 2025-01-01 on, 100.00 USD an hour, 2.00 h a month and 0.00 h a year prepaid (terms "
    )
    assert terminal.run("billing", "terms", "add", "3001", "--from", "2025-01-01", "--rate", "90").status == 0
    (terms,) = terminal.run("billing", "terms", "list", "10042", "--json").json()["items"]
    changed = terminal.run(
        "billing", "terms", "set", "10042", terms["id"], "--to", "2025-12-31", "--rate", "120.5", "--json"
    )
    assert changed.json() == terms | {"valid_to": "2025-12-31", "rate": "120.50"}

    shown = terminal.run("billing", "show", "10042", "--month", "2025-01")
    assert [" ".join(line.split()) for line in shown.out.splitlines()] == [
        "10042-202501 (draft): Mill & Sons, 2025-01, 602.50 USD; dated 2025-01-31, due 2025-03-02",
        "hours: worked 7.00, prepaid monthly 2.00, billable 5.00",
        "prepaid monthly: 2.00 since 2025-01-01; 2.00 used, 0.00 left",
        "description hours rate amount",
        "2025-01, ticket 1: Printer offline 5.00 120.50 602.50",
        "2025-01, ticket 1: Printer offline (prepaid hours) 2.00 0.00 0.00",
    ]
    issued = terminal.run("billing", "issue", "--all", "--month", "2025-01")
    assert (issued.status, issued.out) == (3, "10042-202501: 602.50 USD, due 2025-03-02\n1 invoice issued.\n")
    (left,) = issued.err.splitlines()
    assert left.startswith("not billed: 2001 (Oak), 1.00 h: No terms hold for the work of 2025-01.")
    again = terminal.run("billing", "issue", "10042", "--month", "2025-01", "--json")
    assert (again.status, again.json()["state"], again.json()["total"]) == (0, "issued", "602.50")
    month = terminal.run("billing", "show", "--month", "2025-01")
    assert month.out.splitlines() == [
        "invoice       state   total   currency  remark",
        "10042-202501  issued  602.50  USD",
    ]
    table = terminal.run("billing", "invoices", "10042").out.splitlines()
    assert [line.split()[:3] for line in table[1:]] == [["10042-202501", "602.50", "USD"]]

    written = terminal.run("export", "invoices", "--month", "2025-01", "out", "--json")
    assert written.status == 3
    assert written.json()["files"] == [
        f"out/{name}" for name in ("10042-202501.csv", "10042-202501.iif", "not-billed.csv")
    ]
    one = terminal.run("export", "invoices", "--month", "2025-01", "one", "--account", "10042", "--format", "csv")
    assert (one.status, one.out) == (0, "one/10042-202501.csv\n1 file written.\n")
    packed = terminal.run("export", "invoices", "--month", "2025-01", "--zip")
    assert packed.out.splitlines()[0] == "invoices-202501.zip"
    with zipfile.ZipFile(io.BytesIO((terminal.folder / "invoices-202501.zip").read_bytes())) as archive:
        for name in archive.namelist():
            assert archive.read(name) == (terminal.folder / "out" / name).read_bytes()
    invoice = (terminal.folder / "out" / "10042-202501.csv").read_bytes()
    assert (terminal.folder / "one" / "10042-202501.csv").read_bytes() == invoice

    bad = terminal.run("export", "invoices", "--month", "January")
    assert (bad.status, bad.err) == (2, 'month "January" is not a month. Write it like 2025-01.\n')
    refused = terminal.run("billing", "terms", "remove", "10042", terms["id"])
    assert (refused.status, "an invoice that goes up to 2025-01-31 counts on it" in refused.err) == (1, True)
    unclear = terminal.run("billing", "issue", "--month", "2025-01")
    assert (unclear.status, unclear.err.startswith("Name an account, or say --all")) == (2, True)
