"""The polite HTTP client that every helpdesk source reads through: one per account, shared by all of its runs."""

from deskloom.http.address import Address, normalise
from deskloom.http.budget import Budget
from deskloom.http.client import Answer, Client
from deskloom.http.ledger import Ledger
from deskloom.http.meter import Meter, metered
from deskloom.http.timing import Timing

__all__ = ["Address", "Answer", "Budget", "Client", "Ledger", "Meter", "Timing", "metered", "normalise"]
