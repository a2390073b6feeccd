"""How far a name or address reaches, as far as it tells by itself: this machine, a private network, or anywhere."""

from __future__ import annotations

from ipaddress import ip_address

_PRIVATE_ENDS = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".svc")


def is_loopback(host: str | None) -> bool:
    """Whether a name or address means this machine, whatever a name server says."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Whether a host is this machine or stands in a private network; a name without a dot does."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDS)
    return address.is_private or address.is_loopback or address.is_link_local
