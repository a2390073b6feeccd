"""Seconds, hours, money and months: how each is counted, rounded and written."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext

SECONDS = 3600
HOUR_PLACES = 5
"""Decimals of hours on an invoice: as many as QuickBooks keeps of a quantity."""
_MINOR_UNITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND"), 0),
    **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""ISO 4217: decimals of the currencies that do not have two."""


def hours_of(seconds: int) -> Decimal:
    """Seconds as hours, to five decimals; a second is 0.00028 h."""
    return _round(Decimal(seconds) / SECONDS, HOUR_PLACES)


def seconds_of(hours: Decimal) -> int:
    """Agreed hours as seconds; `ValueError` if they are no whole number of seconds."""
    seconds = hours * SECONDS
    if seconds != int(seconds):
        raise ValueError("must be a whole number of seconds, for example 0.25 or 1.5")
    return int(seconds)


def charge(seconds: int, rate: Decimal, currency: str) -> Decimal:
    """What hours cost: quantity times rate *as an invoice shows them*, rounded half up (away from zero) once."""
    with localcontext(prec=60):
        return _round(hours_of(seconds) * rate, _MINOR_UNITS.get(currency, 2))


def _round(value: Decimal, places: int) -> Decimal:
    with localcontext(prec=60):
        return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP) + 0  # + 0: never "-0.00"


def written(value: Decimal) -> str:
    """A decimal as text: no exponent, at least two decimals, no needless zeros beyond them."""
    whole, _, rest = f"{value:f}".partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def shown_hours(seconds: int) -> str:
    """Seconds as the hours that invoices and answers show."""
    return written(hours_of(seconds))


def read_month(text: str) -> date:
    """The first day of a month written `2025-01`; `ValueError` for anything else."""
    year, _, month = text.partition("-")
    if len(year) != 4 or len(month) != 2 or not (year + month).isascii() or not (year + month).isdigit():
        raise ValueError(f'"{text[:20]}" is not a month. Write it like 2025-01')
    if not (1 <= int(month) <= 12 and 1970 <= int(year) <= 9998):
        raise ValueError(f'"{text[:20]}" is not a month. Write it like 2025-01')
    return date(int(year), int(month), 1)


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


def last_day(month: date) -> date:
    """The last day of the month that begins on `month`."""
    return month_of(month + timedelta(days=31)) - timedelta(days=1)


def named(month: date) -> str:
    """`2025-01`."""
    return f"{month:%Y-%m}"
