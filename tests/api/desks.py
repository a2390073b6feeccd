"""A small help desk with known texts, for tests of the API."""

from __future__ import annotations

from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.generate import generate

ACCOUNT = "10042"
TEXTS = (
    ("Printer offline", "Since the update the printer in room twelve is offline."),
    ("Printer prints stripes", "Every page the printer prints has stripes."),
    ("Cannot log in", "The portal says that my password is wrong."),
    ("Calendar is empty", "All my meetings are gone since this morning."),
)
REPLY = "Please switch the printer off and on again."
NOTE = "Cause found: the zebrafinch driver is broken."
"""Only in a private note: `zebrafinch` finds nothing for who may not read notes."""


def small_desk() -> Desk:
    """Four tickets of one company, a reply and a private note on the first, a public article and a draft."""
    desk = generate(seed=1, tickets=0, articles=0, contacts=0, companies=0, agents=2)
    desk.languages = ["en"]
    company = _post(
        desk,
        "companies",
        name="Mill & Sons",
        domains=["mill.example"],
        custom_fields={"account_number": ACCOUNT},
    )
    contact = _post(desk, "contacts", name="Ada Ferro", email="ada@mill.example", company_id=company)
    for subject, text in TEXTS:
        _post(
            desk,
            "tickets",
            subject=subject,
            description=f"<p>{text}</p>",
            requester_id=contact,
            company_id=company,
            status=2,
            priority=3,
            source=2,
        )
    first = min(row["id"] for row in desk.tickets)
    _post(desk, f"tickets/{first}/reply", body=f"<p>{REPLY}</p>")
    _post(desk, f"tickets/{first}/notes", body=f"<p>{NOTE}</p>", private=True)
    category = _post(desk, "solutions/categories", name="Hardware")
    folder = _post(desk, f"solutions/categories/{category}/folders", name="Printers", visibility=1)
    steps = "<ol><li>Switch it off.</li><li>Wait.</li><li>Switch it on.</li></ol>"
    for title, status in (("Reconnect a printer", 2), ("Repair a printer (draft)", 1)):
        _post(desk, f"solutions/folders/{folder}/articles", title=title, description=steps, type=1, status=status)
    desk.clock.advance(60)
    return desk


def _post(desk: Desk, path: str, **body: object) -> int:
    made = desk.perform({"method": "POST", "path": path, "body": body})
    assert isinstance(made, dict)
    return int(made["id"])
