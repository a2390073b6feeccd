"""The kinds of sources there are: the one table that a new helpdesk is added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deskloom.http import Client, Ledger, Timing, normalise
from deskloom.protocols import Source
from deskloom.settings import Settings, SourceSettings
from deskloom.sources.freshdesk import FreshdeskSource
from deskloom.sources.freshservice import FreshserviceSource

OpenLedger = Callable[[str], Ledger]
"""The ledger through which the budget of an account, named by its host, is shared with other processes."""


def _client(
    one: SourceSettings, settings: Settings, timing: Timing | None, open_ledger: OpenLedger | None, product: str
) -> Client:
    address = normalise(one.domain, product)
    return Client(
        address,
        one.api_key.get_secret_value(),
        product=product,
        rate_share=settings.rate_share,
        retries=settings.retries,
        concurrency=settings.concurrency,
        timing=timing,
        ledger=open_ledger(address.host) if open_ledger else None,
    )


def _freshdesk(
    one: SourceSettings, settings: Settings, timing: Timing | None, open_ledger: OpenLedger | None
) -> Source:
    client = _client(one, settings, timing, open_ledger, "Freshdesk")
    return FreshdeskSource(one.name, client, account_field=one.account_field, hours_days=settings.hours_days)


def _freshservice(
    one: SourceSettings, settings: Settings, timing: Timing | None, open_ledger: OpenLedger | None
) -> Source:
    client = _client(one, settings, timing, open_ledger, "Freshservice")
    return FreshserviceSource(one.name, client, account_field=one.account_field, hours_days=settings.hours_days)


KINDS: Mapping[str, Callable[[SourceSettings, Settings, Timing | None, OpenLedger | None], Source]] = {
    "freshdesk": _freshdesk,
    "freshservice": _freshservice,
}


def open_source(
    one: SourceSettings, settings: Settings, *, timing: Timing | None = None, open_ledger: OpenLedger | None = None
) -> Source:
    """The source behind a configured account. Raises `SettingInvalid` or `WrongProduct` for its domain."""
    return KINDS[one.kind](one, settings, timing, open_ledger)
