"""What people write as a domain."""

import pytest

from deskloom.errors import SettingInvalid, WrongProduct
from deskloom.http import Address, normalise

ACME = Address("https://acme.freshdesk.com", "acme.freshdesk.com", "acme")


@pytest.mark.parametrize(
    "written",
    [
        "acme",
        " ACME ",
        "acme.freshdesk.com",
        "ACME.Freshdesk.com.",
        "https://acme.freshdesk.com/",
        "https://acme.freshdesk.com:443",
        "https://acme.freshdesk.com//a/tickets/filters/all?x=1",
        "acme.freshdesk.com/a/tickets",
        "HTTPS://acme.freshdesk.com",
    ],
)
def test_every_way_to_write_an_account_means_one_address(written: str) -> None:
    """T42: scheme, case, slashes, path and the product's own domain make no difference."""
    assert normalise(written) == ACME


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("http://127.0.0.1:8080/api/v2/", Address("http://127.0.0.1:8080", "127.0.0.1", "127.0.0.1")),
        ("localhost:8080", Address("http://localhost:8080", "localhost", "localhost")),
        ("http://[::1]:9", Address("http://[::1]:9", "::1", "::1")),
        ("https://localhost:8443", Address("https://localhost:8443", "localhost", "localhost")),
    ],
)
def test_plain_http_is_taken_on_loopback(written: str, address: Address) -> None:
    """A sandbox on this machine is reached with its port; its path is not part of the address."""
    assert normalise(written) == address


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("http://acme.freshdesk.com", "Plain http is taken on this machine only, not for acme.freshdesk.com."),
        ("http://10.0.0.8:8080", "Plain http is taken on this machine only, not for 10.0.0.8."),
        ("support.acme.example", "support.acme.example is not a Freshdesk address; its API answers only under"),
        ("acme.freshdesk.com.evil.example", "acme.freshdesk.com.evil.example is not a Freshdesk address"),
        ("a.b.freshdesk.com", "a.b.freshdesk.com is not a Freshdesk address"),
        ("https://secret:X@acme.freshdesk.com", "The domain holds credentials; the key has its own setting."),
        ("https://acme.freshdesk.com:8443", "acme.freshdesk.com is given with port 8443"),
        ("ftp://acme.freshdesk.com", "A domain cannot start with ftp://."),
        ("https://acme.freshdesk.com:port", "The domain cannot be read."),
        ("my company", "my company is not a Freshdesk address"),
        ("", "The domain is not a Freshdesk address"),
        ("-acme", "-acme is not a Freshdesk address"),
    ],
)
def test_what_is_no_account_is_refused_with_a_sentence(written: str, said: str) -> None:
    """A wrong domain says what is wrong with it and what a right one looks like, and never shows credentials."""
    with pytest.raises(SettingInvalid) as caught:
        normalise(written)
    assert caught.value.message.startswith(said)
    assert caught.value.message.endswith("Set FRESHDESK_DOMAIN, for example to acme or acme.freshdesk.com.")
    assert caught.value.facts == {"setting": "FRESHDESK_DOMAIN"}
    assert "secret" not in caught.value.message


def test_the_sister_product_is_named() -> None:
    """A Freshservice domain where Freshdesk is expected is a wrong product, not a wrong domain."""
    with pytest.raises(
        WrongProduct, match=r"^acme.freshservice.com is a Freshservice account, but Freshdesk is expected."
    ):
        normalise("https://acme.freshservice.com")
