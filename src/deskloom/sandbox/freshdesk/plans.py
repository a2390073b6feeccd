"""Freshdesk's rate plans (HELPDESK-APIS 2.3)."""

from __future__ import annotations

from collections.abc import Mapping

from deskloom.sandbox.limits import HOURLY, NONE, Plan


def _parts(create: int, update: int, tickets: int, contacts: int) -> dict[str, int]:
    return {
        "POST /tickets": create,
        "PUT /tickets/[id]": update,
        "GET /tickets": tickets,
        "GET /contacts": contacts,
    }


PLANS: Mapping[str, Plan] = {
    "none": NONE,
    "trial": Plan(50),
    "growth": Plan(200, _parts(80, 80, 20, 20)),
    "pro": Plan(400, _parts(160, 160, 100, 100)),
    "enterprise": Plan(700, _parts(280, 280, 200, 200)),
    "hourly": HOURLY,
}
