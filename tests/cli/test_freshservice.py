"""A Freshservice account on the command line: added, checked and looked at, with what is odd about it said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.terminal import Terminal
from tests.sources.servicedesk import empty_service, put_department

from deskloom.cli.adding import Asked
from deskloom.sandbox import SandboxServer
from deskloom.sandbox.freshservice import FreshserviceDesk

LACKING = 'No department of Freshservice "127.0.0.1" has a field "account_no", so companies get no account number.'
THERE = "It has: account_number, site."


@pytest.fixture
def desk() -> FreshserviceDesk:
    desk = empty_service()
    put_department(desk, 11, "Alpha", account_number=104233, site="Porto")
    return desk


@pytest.fixture
def terminal(desk: FreshserviceDesk, tmp_path: Path) -> Iterator[Terminal]:
    """Commands run in an empty folder, with the account in the environment."""
    with SandboxServer(desk) as server:
        yield Terminal(
            tmp_path,
            {
                "DESKLOOM_HOME": str(tmp_path / "home"),
                "FRESHSERVICE_DOMAIN": server.url,
                "FRESHSERVICE_API_KEY": desk.key,
                "DESKLOOM_RETRIES": "0",
            },
        )


def test_an_account_field_that_does_not_exist_is_said(terminal: Terminal) -> None:
    """`source check` and `doctor` name the field and those that there are; the account can be read all the same."""
    wrong = {"FRESHSERVICE_ACCOUNT_FIELD": "account_no"}
    checked = terminal.run("source", "check", **wrong)
    assert (checked.status, checked.out.startswith("freshservice: ok; ")) == (0, True)
    assert LACKING in checked.err
    assert THERE in checked.err
    looked = {one["part"]: one for one in terminal.run("doctor", "--json", **wrong).json()["items"]}
    assert looked["freshservice"]["level"] == "warn"
    assert LACKING in looked["freshservice"]["detail"]


def test_an_account_is_added_with_its_account_field(terminal: Terminal) -> None:
    """The kind is given, or read off the domain; the field stands in the file, and what is odd about it is said."""
    url = terminal.settings.pop("FRESHSERVICE_DOMAIN")
    key = terminal.settings.pop("FRESHSERVICE_API_KEY")
    arguments = ("--domain", url, "--kind", "freshservice", "--api-key", key, "--no", "--account-field", "account_no")
    added = terminal.run("source", "add", "acme", *arguments)
    assert (added.status, LACKING in added.err) == (0, True)
    assert 'account_field = "account_no"' in (terminal.folder / "deskloom.toml").read_text()
    assert terminal.run("source", "list", "--json").json() == {
        "items": [{"name": "acme", "kind": "freshservice", "domain": url}]
    }


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("acme.freshservice.com", "freshservice"),
        ("https://ACME.Freshservice.com/a", "freshservice"),
        ("acme", "freshdesk"),
    ],
)
def test_the_kind_of_a_source_is_read_off_its_domain(domain: str, kind: str) -> None:
    """Whose domain it is decides; a bare name is a Freshdesk account, as it was."""
    asked = Asked("acme", None, domain, "key", None, None, yes=None, as_json=False)
    assert asked.entry() == {"kind": kind, "domain": domain, "api_key": "key"}
