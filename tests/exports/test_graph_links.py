"""Which addresses in a text lead to a ticket or an article."""

from __future__ import annotations

import pytest

from deskloom.exports.graph_links import Target, targets
from deskloom.model import Kind

HOSTS = {"acme.freshdesk.com": "desk", "acme.freshservice.com": "it"}
DESK = Target(Kind.TICKET, "desk", 412)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://acme.freshdesk.com/a/tickets/412", [DESK]),
        ('<a href="http://ACME.freshdesk.com/helpdesk/tickets/412?tab=1#x">it</a>', [DESK]),
        ("(https://acme.freshdesk.com/support/tickets/412).", [DESK]),
        ("https://acme.freshdesk.com:443/a/tickets/412/", [DESK]),
        ("https://acme.freshdesk.com/a/tickets/412 and https://acme.freshdesk.com/a/tickets/412", [DESK]),
        ("https://acme.freshservice.com/a/tickets/412", [Target(Kind.TICKET, "it", 412)]),
        ("https://click.example/?u=https%3A%2F%2Facme.freshdesk.com%2Fa%2Ftickets%2F412%3Fx", [DESK]),
        ("https://acme.freshdesk.com/a/solutions/articles/701", [Target(Kind.ARTICLE, "desk", 701)]),
        (
            "https://acme.freshdesk.com/pt-BR/support/solutions/articles/701-como",
            [Target(Kind.ARTICLE, "desk", 701, "pt-br")],
        ),
        ("https://help.acme.example/support/solutions/articles/701-how", [Target(Kind.ARTICLE, None, 701)]),
        ("https://help.acme.example/support/tickets/412", []),
        ("https://other.freshdesk.com/a/tickets/412", []),
        ("https://other.freshdesk.com/support/solutions/articles/701", []),
        ("https://acme.freshdesk.com/a/tickets/412abc", []),
        ("https://acme.freshdesk.com/a/tickets/12345678901234567890", []),
        ("https://acme.freshdesk.com/a/tickets/filters/5", []),
        ("https://acme.freshdesk.com@evil.example/a/tickets/412", []),
        ("https://[broken/a/tickets/412 %zz%2F", []),
        ("acme.freshdesk.com/a/tickets/412", []),
    ],
)
def test_only_addresses_of_known_objects_lead_somewhere(text: str, wanted: list[Target]) -> None:
    """Numbers of tickets count at an account's own host only; numbers of articles under a portal's own name too."""
    assert targets([text], HOSTS) == wanted
