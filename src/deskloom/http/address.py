"""What people write as a helpdesk's domain, made into the one address it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from deskloom.errors import SettingInvalid, WrongProduct

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PRODUCTS = {"Freshdesk": "freshdesk.com", "Freshservice": "freshservice.com"}


@dataclass(frozen=True, slots=True)
class Address:
    """`url` has no path and no trailing slash; `host` names the account; `label` is what people call it."""

    url: str
    host: str
    label: str


def normalise(domain: str, product: str = "Freshdesk") -> Address:
    """The address of an account from `acme`, `ACME.freshdesk.com` or any URL there (HELPDESK-APIS T42).

    Plain http is taken on loopback only. Raises `SettingInvalid`, or `WrongProduct` for the sister product's domain.
    """
    parts = _split(domain, product)
    host = (parts.hostname or "").rstrip(".")
    if host in _LOOPBACK:
        scheme = "http" if parts.scheme in ("", "http") else "https"
        shown = f"[{host}]" if ":" in host else host
        return Address(f"{scheme}://{shown}" + (f":{parts.port}" if parts.port else ""), host, host)
    home = _PRODUCTS[product]
    if parts.scheme == "http" and parts.port is not None:
        raise _wrong(f"Plain http is taken on this machine only, not for {host}.", product)
    if _LABEL.fullmatch(host):
        host = f"{host}.{home}"
    label, _, rest = host.partition(".")
    for other, sister in _PRODUCTS.items():
        if other != product and rest == sister:
            raise WrongProduct(
                f"{host} is a {other} account, but {product} is expected. Give a domain such as {label}.{home}.",
                domain=host,
            )
    if rest != home or not _LABEL.fullmatch(label):
        raise _wrong(
            f"{host or 'The domain'} is not a {product} address; its API answers only under *.{home}.", product
        )
    if parts.scheme == "http":
        raise _wrong(f"Plain http is taken on this machine only, not for {host}.", product)
    if parts.port not in (None, 443):
        raise _wrong(f"{host} is given with port {parts.port}, but {product} answers on 443 only.", product)
    return Address(f"https://{host}", host, label)


def _split(domain: str, product: str) -> SplitResult:
    """The parts of what was written, lower-case; no scheme is fine."""
    text = domain.strip()
    with_scheme = text if "://" in text else f"//{text}"
    try:
        parts = urlsplit(with_scheme)
        parts = parts._replace(scheme=parts.scheme.lower())
        _ = parts.port
    except ValueError:
        raise _wrong("The domain cannot be read.", product) from None
    if parts.scheme not in ("", "http", "https"):
        raise _wrong(f"A domain cannot start with {parts.scheme}://.", product)
    if parts.username is not None or parts.password is not None:
        raise _wrong("The domain holds credentials; the key has its own setting.", product)
    return parts


def _wrong(problem: str, product: str) -> SettingInvalid:
    setting = f"{product.upper()}_DOMAIN"
    return SettingInvalid(
        f"{problem} Set {setting}, for example to acme or acme.{_PRODUCTS[product]}.", setting=setting
    )
