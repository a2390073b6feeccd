"""Freshservice's rate plans (HELPDESK-APIS 3.3); the MSP Core plan has the figures of Growth."""

from __future__ import annotations

from collections.abc import Mapping

from deskloom.sandbox.limits import HOURLY, NONE, Plan


def _plan(total: int, lists: int, one: int) -> Plan:
    """`lists`: of tickets, agents and requesters each; `one`: viewing, creating and updating a ticket each."""
    listed = ("GET /tickets", "GET /agents", "GET /requesters")
    single = ("GET /tickets/[id]", "POST /tickets", "PUT /tickets/[id]")
    return Plan(total, {**dict.fromkeys(listed, lists), **dict.fromkeys(single, one)})


PLANS: Mapping[str, Plan] = {
    "none": NONE,
    "starter": _plan(100, 40, 50),
    "growth": _plan(200, 70, 80),
    "pro": _plan(400, 120, 140),
    "enterprise": _plan(500, 140, 160),
    "hourly": HOURLY,
}
