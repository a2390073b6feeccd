"""A seeded generator of an account: invented customers, tickets with their talk, help articles with translations.

The same seed and the same clock give the same account. The odd rows real accounts have are in it (HELPDESK-APIS 7,
"as data"): null and empty lists, ids beyond 2^53, offsets, U+00A0, empty subjects, missing authors, custom statuses.
"""

from __future__ import annotations

import random
from typing import Literal

from deskloom.sandbox import freshservice
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.content import THEMES
from deskloom.sandbox.freshdesk import Desk, Switches
from deskloom.sandbox.freshdesk.fields import ticket_fields
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.sandbox.generate.articles import fill_articles
from deskloom.sandbox.generate.freshservice import lay_over
from deskloom.sandbox.generate.people import fill_people
from deskloom.sandbox.generate.tickets import fill_tickets


def generate(
    seed: int = 1,
    tickets: int = 120,
    articles: int = 24,
    *,
    contacts: int = 40,
    companies: int = 12,
    agents: int = 5,
    clock: Clock | None = None,
    switches: Switches | None = None,
    plan: str = "none",
    key: str = "sandbox",
) -> Desk:
    """An account as it stands at the clock's present: the newest ticket is minutes old, the oldest 200 days."""
    desk = Desk(clock=clock, switches=switches, plan=plan, key=key, name="Kestrel")
    desk.languages = ["en", "de", "ko", "ja", "ar"]
    desk.ticket_fields = ticket_fields(
        {
            "cf_reference_number": None,
            "cf_product_area": [theme.category for theme in THEMES],
            "cf_location": {"Europe": {"Portugal": ["Lisbon", "Porto"]}, "Asia": {"Korea": ["Incheon"]}},
        }
    )
    chance = random.Random(f"deskloom sandbox {seed}")
    now = desk.clock.now().replace(microsecond=0)
    fill_people(desk, chance, now, contacts, companies, agents)
    fill_tickets(desk, chance, now, tickets)
    fill_articles(desk, articles, now)
    return desk


def generate_freshservice(
    seed: int = 1,
    tickets: int = 120,
    articles: int = 24,
    *,
    contacts: int = 40,
    companies: int = 12,
    agents: int = 5,
    msp: bool = False,
    account_numbers: Literal["integer", "text"] = "integer",
    duplicate_account: bool = False,
    clock: Clock | None = None,
    switches: freshservice.Switches | None = None,
    plan: str = "none",
    key: str = "sandbox",
) -> FreshserviceDesk:
    """The account of `generate` at Freshservice: in three workspaces, or (`msp`) in clients of an MSP.

    `account_numbers`: how the departments' field is typed; `duplicate_account`: two of them share one number.
    """
    desk = FreshserviceDesk(clock=clock, switches=switches, plan=plan, key=key, name="Kestrel", msp=msp)
    told = generate(seed, tickets, articles, contacts=contacts, companies=companies, agents=agents, clock=desk.clock)
    chance = random.Random(f"deskloom sandbox freshservice {seed}")
    return lay_over(told, desk, chance, account_numbers=account_numbers, duplicate_account=duplicate_account)
